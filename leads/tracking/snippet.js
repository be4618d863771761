(function (w, d, key, src) {
  var a = (w.analytics = w.analytics || []);
  if (a.invoked || a.initialized) return;
  a.invoked = true;
  ["load", "identify", "track", "page", "group", "alias", "reset", "ready", "consent", "setAnonymousId"].forEach(function (name) {
    a[name] = function () { a.push([name].concat([].slice.call(arguments))); return a; };
  });
  a.load = function (_, options) {
    a._loadOptions = options;
    var s = d.createElement("script");
    s.async = true;
    s.src = src;
    d.head.appendChild(s);
  };
  a.load(key);
  a.page();
})(window, document, "{{write_key}}", "{{address}}");

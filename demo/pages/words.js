// What the stand-in was sent, in words, the newest first. <ol data-received> is filled, and <button data-empty> empties it.
(function () {
  "use strict";
  var list = document.querySelector("[data-received]"), shown = "";
  function made(tag, text, kind) {
    var element = document.createElement(tag);
    element.textContent = text;
    if (kind) element.className = kind;
    return element;
  }
  function worth(value) {
    return value === undefined || value === "1" ? "" : ", worth " + value;
  }
  function words(one) {
    var q = one.query, path = one.path;
    if (path === "/page/trackEvent") {
      return "“" + q.type + "”" + (q.id ? " with order id " + q.id : "") + worth(q.amount) + ".";
    }
    if (path === "/page/trackUser") return "This visitor is the user " + q.id + ".";
    if (path.indexOf("/hit/") === 0) {
      return "“" + q.event_type + "” on the device " + q.sid + (q.eid ? " with order id " + q.eid : "") + worth(q.event_value) + ".";
    }
    if (path.indexOf("/user/") === 0) return "The device " + q.sid + " belongs to the user " + q.id + ".";
    if (path.indexOf("/installs/") === 0) return "The app was installed on the device " + q.sid + ".";
    return one.method + " " + path;
  }
  function entry(one) {
    var item = document.createElement("li"), details = document.createElement("details");
    var fromPage = one.path.indexOf("/page/") === 0;
    item.append(
      made("span", fromPage ? "from the page" : "from the server", fromPage ? "tag" : "tag server"),
      words(one) + " ",
      made("span", new Date(one.at).toLocaleTimeString("en-GB"), "quiet small")
    );
    var query = Object.keys(one.query).map(function (name) { return name + "=" + one.query[name]; }).join(" & ");
    details.append(made("summary", "As it was sent"), made("code", one.method + " " + one.path + (query ? "  " + query : "") + (one.body ? "  " + one.body : "")));
    item.append(details);
    return item;
  }
  function look() {
    fetch("/received").then(function (answer) { return answer.json(); }).then(function (all) {
      var key = all.length + (all.length ? all[all.length - 1].at : "");
      if (key !== shown) {
        shown = key;
        var items = all.slice(-100).reverse().map(entry);
        list.replaceChildren.apply(list, items.length ? items : [made("li", "Nothing yet.", "quiet")]);
        var count = document.querySelector("[data-count]");
        if (count) count.textContent = all.length === 1 ? "1 call" : all.length + " calls";
      }
    }, function () { /* it is stopped, or starts again */ }).then(function () { setTimeout(look, 1000); });
  }
  document.querySelectorAll("[data-empty]").forEach(function (button) {
    button.addEventListener("click", function () { fetch("/received", { method: "DELETE" }); });
  });
  look();
})();

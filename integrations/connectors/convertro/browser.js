// Convertro on a page: brings live.js and tells $CVO what happened. README.md has the rules, rules.py says them in Python.
// In the JavaScript of every browser and engine: it is served as it is.
(function (root) {
  "use strict";
  var host = "//d1ivexoxmp59q7.cloudfront.net/";
  var orders = [/^[ _]?order[ _]?completed[ _]?$/i, /^[ _]?completed[ _]?order[ _]?/i];
  // Letters beyond ASCII are parts of words.
  var betweenWords = /[^A-Za-z0-9\u0080-\uffff]+/g;
  // A sum of money: a sign, a currency before or behind, and digits in one of the ways that they are grouped.
  var sum = /^([+-]?)\s*(?:[$£¥€₹]|[A-Z]{2,3}[$]?)?\s*([+-]?)\s*([0-9.,'\s]*[0-9][.]?)\s*(?:[$£¥€₹]|[A-Z]{2,3}[$]?)?$/;
  var withPoint = /^([0-9]+|[0-9]{1,3}(,[0-9]{3})+|[0-9]{1,3}(['\s][0-9]{3})+)?([.][0-9]*)?$/;
  var withComma = /^([0-9]+|[0-9]{1,3}([.'\s][0-9]{3})+),[0-9]{1,2}$/;

  function isOn(value, otherwise) {
    return value === undefined || value === null || value === "" ? otherwise : /^(true|1|on|yes)$/i.test(value);
  }
  function isText(value) {
    return typeof value === "string" && /\S/.test(value);
  }
  // The form in which event names are compared.
  function normal(name) {
    if (/\s/.test(name)) return name.toLowerCase();
    if (/[_.-]/.test(name)) {
      return name.replace(betweenWords, function (run, at) {
        return at + run.length < name.length ? " " : "";
      }).toLowerCase();
    }
    return name.replace(/(.)([A-Z]+)/g, function (_, before, capitals) {
      return before + " " + capitals.split("").join(" ");
    }).toLowerCase();
  }
  // An object, a list of {key, value} or a list of names, as pairs; what is malformed is passed over.
  function pairs(events) {
    var found = [], isList = Array.isArray(events);
    for (var i in Object(events)) {
      var each = isList ? events[i] : { key: i, value: events[i] };
      var pair = isText(each) ? [each, each] : [Object(each).key, Object(each).value];
      if (isText(pair[0]) && isText(pair[1])) found.push(pair);
    }
    return found;
  }
  // The values of a property, its name without case and punctuation.
  function values(properties, name) {
    var found = [];
    for (var key in Object(properties)) {
      var value = properties[key];
      if (value !== null && value !== undefined && key.replace(betweenWords, "").toLowerCase() === name) found.push(value);
    }
    return found;
  }
  function orderId(properties) {
    var ids = values(properties, "id").concat(values(properties, "orderid"));
    for (var i = 0; i < ids.length; i++) if (isText(ids[i]) || typeof ids[i] === "number") return ids[i];
  }
  function number(value) {
    if (typeof value === "number") return isFinite(value) ? value : undefined;
    var parts = typeof value === "string" && value.length <= 60 && sum.exec(value.trim());
    if (!parts || (parts[1] && parts[2])) return undefined;
    var digits = parts[3].trim();
    if (withComma.test(digits)) digits = digits.replace(/[.'\s]/g, "").replace(",", ".");
    else if (withPoint.test(digits)) digits = digits.replace(/[,'\s]/g, "");
    else return undefined;
    return parts[1] + parts[2] === "-" ? -Number(digits) : Number(digits);
  }
  function money(properties, name) {
    var found = values(properties, name);
    for (var i = 0; i < found.length; i++) {
      var one = number(found[i]);
      if (one !== undefined) return one;
    }
  }
  function push(call, details) {
    (root.$CVO = root.$CVO || []).push([call, details]);
  }

  root.portalConnectors = root.portalConnectors || {};
  root.portalConnectors.convertro = function (settings) {
    settings = settings || {};
    var events = pairs(settings.events);

    function types(name, properties) {
      var found = [], wanted = normal(name), i;
      if (!orders[0].test(name) && !orders[1].test(name)) {
        for (i = 0; i < events.length; i++) if (normal(events[i][0]) === wanted) found.push(events[i][1]);
        return found;
      }
      if (orderId(properties) === undefined && isOn(settings.requireOrderId, true)) return found;
      var repeat = values(properties, "repeat")[0];
      if (typeof repeat === "boolean") found.push(repeat ? "sale.repeat" : "sale.new");
      if (!found.length || isOn(settings.hybridAttributionModel, false)) found.push("sale");
      return found;
    }

    return {
      // Brings live.js, once; `done` is called when it is there, or can't be had.
      load: function (done) {
        var page = root.document || (typeof document === "undefined" ? null : document);
        root.$CVO = root.$CVO || [];
        if (!settings.account || !page || typeof root.$CVO.trackEvent === "function") return done && done();
        var script = page.createElement("script"), first = (page.getElementsByTagName("script") || [])[0];
        script.async = true;
        script.src = host + encodeURIComponent(settings.account) + "/live.js";
        script.onload = script.onerror = function () {
          if (done) done();
        };
        if (first && first.parentNode) first.parentNode.insertBefore(script, first);
        else (page.head || page.documentElement || page.body).appendChild(script);
      },
      identify: function (message) {
        var user = {}, traits = message.traits || {};
        if (!message.userId) return;
        for (var name in traits) user[name] = traits[name];
        user.id = message.userId;
        push("trackUser", user);
      },
      track: function (message) {
        var properties = message.properties, id = orderId(properties);
        var amount = money(properties, "total") || money(properties, "revenue");
        var found = typeof message.event === "string" ? types(message.event, properties) : [];
        for (var i = 0; i < found.length; i++) {
          var event = { type: found[i] };
          if (id !== undefined) event.id = id;
          if (amount) event.amount = amount;
          push("trackEvent", event);
        }
      }
    };
  };
})(typeof window !== "undefined" ? window : typeof globalThis !== "undefined" ? globalThis : this);

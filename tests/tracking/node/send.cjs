// Sends events with Segment's client for Node: send.cjs <host> <write key> <how many> <events in a batch> <name>
const { Analytics } = require("@segment/analytics-node");

const [host, writeKey, count, flushAt, name] = process.argv.slice(2);
const analytics = new Analytics({ host, writeKey, flushAt: Number(flushAt), flushInterval: 200, maxRetries: 5 });
const errors = [];
let calls = 0;
analytics.on("error", (error) => errors.push(String(error.reason || error.code || error)));
analytics.on("http_request", () => { calls += 1; });
for (let number = 0; number < Number(count); number += 1) {
  analytics.track({ userId: `user-${number % 7}`, event: name, properties: { number }, context: { device: { id: `device-${number % 7}` } } });
}
analytics.closeAndFlush({ timeout: 60000 }).then(() => {
  console.log(JSON.stringify({ errors, calls }));
});

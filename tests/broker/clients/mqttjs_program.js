// Does what a client does, with MQTT.js: URL VERSION. Ends with 0 if everything came as it should.
const mqtt = require("mqtt");
const [url, version] = [process.argv[2], Number(process.argv[3])];

function fail(reason) {
  console.error(reason);
  process.exit(1);
}
setTimeout(() => fail("nothing more came"), 20000).unref();
process.on("unhandledRejection", fail);

async function connect(name, { keep = false, will } = {}) {
  const options = { clientId: name, protocolVersion: version, clean: !keep, reconnectPeriod: 0 };
  if (will) options.will = { topic: will, payload: "gone", qos: 1 };
  if (keep && version === 5) options.properties = { sessionExpiryInterval: 100 };
  const client = mqtt.connect(url, options);
  const [found, waiting] = [[], []];
  client.on("message", (topic, payload, packet) => {
    const message = `${topic} ${payload} ${packet.qos} ${packet.retain}`;
    if (waiting.length) waiting.shift()(message);
    else found.push(message);
  });
  client.on("error", fail);
  client.expect = async (wanted) => {
    const message = found.length ? found.shift() : await new Promise((resolve) => waiting.push(resolve));
    if (message !== wanted) fail(`expected ${wanted}, got ${message}`);
  };
  await new Promise((resolve) => client.once("connect", resolve));
  return client;
}

async function main() {
  const observer = await connect("observer");
  await observer.subscribeAsync(["t/+/x", "will/#"], { qos: 2 });
  const sender = await connect("sender", { will: "will/sender" });
  for (const qos of [0, 1, 2]) {
    await sender.publishAsync("t/here/x", `${qos}`, { qos });
    await observer.expect(`t/here/x ${qos} ${qos} false`);
  }
  await sender.publishAsync("kept/1", "retained", { qos: 1, retain: true });
  await observer.subscribeAsync("kept/#", { qos: 1 });
  await observer.expect("kept/1 retained 1 true");

  let kept = await connect("kept", { keep: true });
  await kept.subscribeAsync("later/#", { qos: 2 });
  await kept.endAsync();
  for (const qos of [1, 2]) await sender.publishAsync("later/x", `${qos}`, { qos });
  kept = await connect("kept", { keep: true });
  for (const qos of [1, 2]) await kept.expect(`later/x ${qos} ${qos} false`);
  await kept.endAsync();

  sender.stream.destroy();
  await observer.expect("will/sender gone 1 false");
  await observer.endAsync();
  console.log(`MQTT.js ${version} is content with ${url.split(":")[0]}`);
  process.exit(0);
}
main();

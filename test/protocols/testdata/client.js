// Asks the gateway with Node's own clients: node client.js CA HOST CLEAR SECURE
const [ca, host, clear, secure] = process.argv.slice(2);
const http = require('http'), https = require('https'), http2 = require('http2');
const options = {ca: require('fs').readFileSync(ca), servername: host};

const ask = (module, url) => new Promise((resolve, reject) => {
  module.get(url, {...options, agent: false}, response => {
    response.resume().on('end', () => resolve(response.statusCode));
  }).on('error', reject);
});

const collect = stream => new Promise((resolve, reject) => {
  const got = {text: ''};
  stream.setEncoding('utf8');
  stream.on('response', headers => { got.status = headers[':status']; });
  stream.on('data', text => { got.text += text; });
  stream.on('end', () => resolve(got));
  stream.on('error', reject);
});

const echo = async (session, size) => {
  const stream = session.request({':method': 'POST', ':path': '/echo'});
  const got = collect(stream);
  stream.end('x'.repeat(size));
  return got;
};

// A frame of one masked text, with a mask of nothing.
const frame = text => Buffer.concat([Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0]), Buffer.from(text)]);

const webSocket = session => new Promise((resolve, reject) => {
  session.once('remoteSettings', () => {
    const stream = session.request({':method': 'CONNECT', ':protocol': 'websocket', ':path': '/socket', 'sec-websocket-version': '13'});
    let status;
    stream.on('response', headers => { status = headers[':status']; stream.write(frame('hello')); });
    stream.on('data', data => { resolve(`${status} ${data.subarray(2)}`); stream.close(); });
    stream.on('error', reject);
  });
});

const main = async () => {
  console.log('HTTP/1.1:', await ask(http, `http://127.0.0.1:${clear}/`));
  console.log('HTTP/1.1 in TLS:', await ask(https, `https://127.0.0.1:${secure}/`));
  for (const [name, url] of [['h2c', `http://127.0.0.1:${clear}`], ['h2', `https://127.0.0.1:${secure}`]]) {
    const session = http2.connect(url, options);
    const got = await echo(session, 1e6);
    console.log(`${name}:`, got.status, got.text.length);
    session.close();
  }
  const session = http2.connect(`https://127.0.0.1:${secure}`, options);
  const all = await Promise.all(Array.from({length: 500}, () => echo(session, 1000)));
  console.log('requests at once:', all.filter(got => got.status === 200 && got.text.length === 1000).length);
  session.close();
  const other = http2.connect(`https://127.0.0.1:${secure}`, options);
  console.log('WebSocket over h2:', await webSocket(other));
  other.close();
};

main().catch(error => { console.error(error); process.exit(1); });

// Prints what each URL answers, as Node's fetch gets it through the proxy of
// http_proxy and https_proxy. Which of three ways that is depends on the node:
//
//  1. Node 22.21 and 24.5 on read the variables themselves when they are told
//     to by NODE_USE_ENV_PROXY.
//  2. Before that the undici package (Debian: node-undici) has a dispatcher for
//     proxies.
//  3. Without the package, the Agent of the undici inside of node can be given
//     a way to connect: here a CONNECT by node:http.
import http from 'node:http';
import tls from 'node:tls';
import {createRequire} from 'node:module';
import {spawnSync} from 'node:child_process';

const [major, minor] = process.versions.node.split('.').map(Number);
const readsVariables = major > 24 || (major === 24 && minor >= 5) || (major === 22 && minor >= 21);
const urls = process.argv.slice(2);

function proxyAgent() {
  try {
    const undici = createRequire(import.meta.url)('/usr/share/nodejs/undici');
    const agents = Object.fromEntries(['http:', 'https:'].map((scheme) =>
      [scheme, new undici.ProxyAgent({uri: process.env[scheme.replace(':', '_proxy')]})]));
    return ['the undici package', undici.fetch, (url) => agents[url.protocol]];
  } catch (err) {
    if (err.code !== 'MODULE_NOT_FOUND') throw err;
    return undefined;
  }
}

function ownConnect() {
  const global = Symbol.for('undici.globalDispatcher.1');
  const Agent = globalThis[global].constructor;
  const agent = new Agent({connect: (to, done) => tunnel(to).then((s) => done(null, s), done)});
  return ['the built-in fetch over a CONNECT of node:http', fetch, () => agent];
}

function tunnel({protocol, hostname, port}) {
  const proxy = new URL(process.env[protocol.replace(':', '_proxy')]);
  const target = `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`;
  return new Promise((resolve, reject) => {
    const request = http.request({method: 'CONNECT', host: proxy.hostname, port: proxy.port,
      path: target, headers: {host: target}});
    request.on('error', reject);
    request.on('connect', (answer, socket) => {
      if (answer.statusCode !== 200) {
        socket.destroy();
        reject(new Error(`${answer.statusCode} ${answer.statusMessage}`));
      } else if (protocol === 'https:') {
        const secure = tls.connect({socket, servername: hostname, ALPNProtocols: ['http/1.1']}, () => resolve(secure));
        secure.on('error', reject);
      } else {
        resolve(socket);
      }
    });
    request.end();
  });
}

async function main() {
  if (readsVariables && !process.env.NODE_USE_ENV_PROXY) {
    // Read at the start of the process, so it takes another one.
    const again = spawnSync(process.execPath, process.argv.slice(1),
      {stdio: 'inherit', env: {...process.env, NODE_USE_ENV_PROXY: '1'}});
    process.exit(again.status);
  }
  if (!readsVariables) await fetch('data:,'); // makes the global dispatcher
  const [way, get, dispatcher] = readsVariables
    ? ['NODE_USE_ENV_PROXY', fetch, () => undefined]
    : proxyAgent() ?? ownConnect();
  console.error(way);
  for (const url of urls) {
    const answer = await get(url, {dispatcher: dispatcher(new URL(url))});
    process.stdout.write(await answer.text());
    if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
  }
}

await main().catch((err) => {
  console.error(err.message, err.cause ?? '');
  process.exit(1);
});

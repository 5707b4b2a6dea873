import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import test from 'ava';
import * as fc from 'fast-check';
import { openLog } from '#lib/log';
import { decodeJwt, Nkey } from '#lib/nats';
import { Bed, freePort } from '../bed.ts';
import { memberAccount, memberUser } from './accounts.ts';
import { issueAuthority, issueServerCertificate } from './certificate.ts';
import { NatsChild } from './child.ts';
import { createBroker } from './create.ts';
import { pathsOf, readDescription, readKeys, splitHost, urlsOf } from './data-directory.ts';
import { integer, namedBits, oid, time } from './der.ts';
import { BrokerRunningError } from './lock.ts';
import { startBroker } from './start.ts';

const SEED = { seed: 4222, numRuns: 200 };
const log = openLog({ component: 'test', destination: { write: () => undefined } });

async function scratch(): Promise<{ readonly dir: string } & AsyncDisposable> {
  const dir = await mkdtemp(join(tmpdir(), 'isthmus-server-'));
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('integer(), namedBits(), oid() and time() write DER as X.690 and RFC 5280 have it', (t) => {
  t.is(hex(integer(Uint8Array.of(0))), '020100');
  t.is(hex(integer(Uint8Array.of(0, 0, 127))), '02017f');
  t.is(hex(integer(Uint8Array.of(128))), '02020080');
  t.is(hex(namedBits(0x80)), '03020780');
  t.is(hex(namedBits(0x04)), '03020204');
  t.is(hex(oid('1.2.840.10045.4.3.2')), '06082a8648ce3d040302');
  t.is(Buffer.from(time(new Date('2026-01-02T03:04:05.678Z'))).toString('latin1'), '\x17\x0d260102030405Z');
  t.is(Buffer.from(time(new Date('2050-01-02T03:04:05Z'))).toString('latin1'), '\x18\x0f20500102030405Z');
});

test('issueServerCertificate() is verified by its authority, for its hosts and addresses only', (t) => {
  const now = new Date('2026-11-21T12:00:00Z');
  const authority = issueAuthority({ name: 'Authority', now });
  const hosts = ['localhost', 'broker.example', '127.0.0.1', '::1', '2001:db8::7:1', '203.0.113.9'];
  const issued = issueServerCertificate({ ...authority, name: 'Authority' }, hosts, { name: 'Server', now });
  const [ca, server] = [new X509Certificate(authority.certificate), new X509Certificate(issued.certificate)];
  t.true(ca.ca);
  t.false(server.ca);
  t.true(server.verify(ca.publicKey));
  t.true(server.checkIssued(ca));
  t.false(
    server.verify(new X509Certificate(issueAuthority({ name: 'Authority', now }).certificate).publicKey),
  );
  for (const host of hosts.slice(0, 2)) t.is(server.checkHost(host), host);
  for (const address of hosts.slice(2)) t.is(server.checkIP(address), address);
  t.is(server.checkIP('203.0.113.8'), undefined);
  t.is(server.checkHost('other.example'), undefined);
  t.deepEqual(server.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  t.true(Date.parse(server.validFrom) < now.getTime() - 24 * 3600_000, 'members’ clocks may be behind');
  t.true(Date.parse(server.validTo) > now.getTime() + 20 * 365 * 24 * 3600_000);
});

test('issueServerCertificate() writes any address into the certificate', (t) => {
  const now = new Date();
  const authority = { ...issueAuthority({ name: 'Authority', now }), name: 'Authority' };
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
      if (address.includes(':') && address.includes('.')) return;
      const { certificate } = issueServerCertificate(authority, [address], { name: 'Server', now });
      t.is(new X509Certificate(certificate).checkIP(address), address);
    }),
    { seed: 1, numRuns: 30 },
  );
});

test('splitHost() takes hosts, addresses and ports apart, and refuses what is none', (t) => {
  t.deepEqual(splitHost('broker.example'), { host: 'broker.example' });
  t.deepEqual(splitHost('broker.example:443'), { host: 'broker.example', port: 443 });
  t.deepEqual(splitHost('2001:db8::1'), { host: '2001:db8::1' });
  t.deepEqual(splitHost('[2001:db8::1]:443'), { host: '2001:db8::1', port: 443 });
  for (const text of ['', ':', 'a:0', 'a:65536', 'a b', '[x', 'tls://a', 'a:b']) {
    t.throws(() => splitHost(text), { instanceOf: SyntaxError }, text);
  }
  t.deepEqual(urlsOf({ advertise: ['a', '::1', '[::1]:5'], port: 4222 }), [
    'tls://a:4222',
    'tls://[::1]:4222',
    'tls://[::1]:5',
  ]);
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        t.true(splitHost(text).host.length > 0);
      } catch (error) {
        t.true(error instanceof SyntaxError);
      }
    }),
    SEED,
  );
});

test('memberUser() allows what the broker’s design lists and nothing else', (t) => {
  const { pub, sub } = memberUser(64);
  t.is(pub.allow?.length, 8 + 1 + 64 + 3);
  t.deepEqual(
    pub.allow?.filter((subject) => !subject.startsWith('put.')),
    ['hb', 'hot', 'mc.get'],
  );
  t.false(pub.allow?.some((subject) => /[*>]/.test(subject)));
  t.deepEqual(sub.allow, ['_INBOX.>', 'mc.upd.>', 'mc.evt.>']);
});

test('memberAccount() has room for eight gateways and two exporters twice over, no leaf nodes and no storage', (t) => {
  const [self, broker] = [Nkey.generate('account').publicKey, Nkey.generate('account').publicKey];
  const { limits, imports, exports } = memberAccount(self, broker);
  t.like(limits, {
    conn: 20,
    leaf: 0,
    subs: 32,
    payload: 70_000,
    exports: 0,
    mem_storage: 0,
    disk_storage: 0,
  });
  t.is(limits.imports, imports.length);
  t.deepEqual(exports, []);
});

test('createBroker() leaves private files, names what belongs offline, and refuses to overwrite', async (t) => {
  await using place = await scratch();
  const dir = join(place.dir, 'broker');
  const created = await createBroker({ dir, advertise: ['192.0.2.1', 'broker.example:443'], port: 4333 });
  t.deepEqual(created.urls, ['tls://192.0.2.1:4333', 'tls://broker.example:443']);
  t.deepEqual(
    created.storeOffline.map(({ path }) => path),
    [join(dir, 'offline', 'root.key'), join(dir, 'offline', 'operator.nk')],
  );
  for (const name of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const { mode } = await stat(join(name.parentPath, name.name));
    t.is(mode & 0o077, 0, name.name);
  }
  const before = await readFile(join(dir, 'broker.json'), 'utf8');
  await t.throwsAsync(createBroker({ dir, advertise: ['a'] }), {
    message: /there is one already\. .*clusterctl broker start/,
  });
  t.is(await readFile(join(dir, 'broker.json'), 'utf8'), before);
  const { operator, root } = await readDescription(pathsOf(dir));
  const keys = await readKeys(pathsOf(dir), root);
  t.deepEqual(decodeJwt(operator, 'operator').nats['signing_keys'], [keys.operatorSigning.publicKey]);
});

test('createBroker() begins an interrupted creation anew, and refuses foreign directories and bad addresses', async (t) => {
  await using place = await scratch();
  await t.throwsAsync(createBroker({ dir: place.dir, advertise: [] }), { message: /--advertise/ });
  await t.throwsAsync(createBroker({ dir: place.dir, advertise: ['a b'] }), { instanceOf: SyntaxError });
  await createBroker({ dir: place.dir, advertise: ['a'] });
  await rm(join(place.dir, 'broker.json'));
  await createBroker({ dir: place.dir, advertise: ['a'] });
  await rm(join(place.dir, 'broker.json'));
  await writeFile(join(place.dir, 'letter.txt'), 'x');
  await t.throwsAsync(createBroker({ dir: place.dir, advertise: ['a'] }), {
    message: /it holds "letter\.txt"/,
  });
});

test('startBroker() says what to do without a broker, without nats-server, and with one that is too old', async (t) => {
  await using place = await scratch();
  const dir = join(place.dir, 'broker');
  await t.throwsAsync(startBroker({ dir, log }), {
    message: /there is no broker in it\. Create it first: clusterctl broker create/,
  });
  t.deepEqual(await readdir(place.dir), [], 'nothing was made');
  await createBroker({ dir, advertise: ['127.0.0.1'], port: await freePort() });
  await t.throwsAsync(startBroker({ dir, log, natsServer: 'no-such-nats-server' }), {
    message: /is not installed\. Install nats-server 2\.11/,
  });
  await t.throwsAsync(startBroker({ dir, log, natsServer: 'nats-server-distribution' }), {
    message: /it is v2\.9\.\d+, older than v2\.11/,
  });
  await t.throwsAsync(startBroker({ dir, log, natsServer: 'true' }), {
    message: /does not say that it is nats-server/,
  });
});

test('startBroker() says which port is taken, and starts once it is free', async (t) => {
  await using place = await scratch();
  const dir = join(place.dir, 'broker');
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const address = other.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await createBroker({ dir, advertise: ['127.0.0.1'], host: '127.0.0.1', port });
  await t.throwsAsync(startBroker({ dir, log }), {
    message: `Cannot listen on port ${port}: it is in use by another program. Choose another with --port or --listen`,
  });
  await t.throwsAsync(startBroker({ dir, log, host: '192.0.2.1' }), {
    message: /"192\.0\.2\.1" is not an address of this host/,
  });
  other.close();
  await once(other, 'close');
  await using broker = await startBroker({ dir, log, host: '127.0.0.1' });
  t.regex(broker.version, /^2\.\d+\.\d+/);
});

test('startBroker() lets one process run a data directory', async (t) => {
  await using bed = await Bed.open();
  const error = await t.throwsAsync(startBroker({ dir: bed.dir, log }), { instanceOf: BrokerRunningError });
  t.true(error.message.includes(`process ${process.pid} runs its broker already`));
  await bed.stop();
  await bed.start();
});

test('startBroker() starts nats-server again when it dies, and members come back', async (t) => {
  await using bed = await Bed.open();
  const a = await bed.connectMember(await bed.join('a', ['10.1.0.0/16']), { forever: true });
  const before = bed.broker.pid ?? 0;
  process.kill(before, 'SIGKILL');
  for (let tries = 0; tries < 200 && bed.broker.pid === before; tries += 1) await sleep(20);
  t.not(bed.broker.pid, before);
  for (let tries = 0; ; tries += 1) {
    try {
      t.is((await a.request('put.gw.0', 'x', { timeout: 300 })).json<{ stream: string }>().stream, 'MC');
      break;
    } catch (error) {
      if (tries > 20) throw error;
      await sleep(100);
    }
  }
  const last = bed.broker.pid ?? 0;
  await bed.stop();
  t.throws(() => process.kill(last, 0), { code: 'ESRCH' }, 'and ends it with itself');
});

test('startBroker() makes stream and directory anew when the server lost them while it ran', async (t) => {
  await using bed = await Bed.open();
  const member = await bed.join('a', ['10.1.0.0/16']);
  const before = bed.broker.pid ?? 0;
  process.kill(before, 'SIGSTOP');
  await rm(join(bed.dir, 'nats', 'store'), { recursive: true });
  await rm(join(bed.dir, 'nats', 'accounts'), { recursive: true });
  process.kill(before, 'SIGKILL');
  const subject = `mc.put.${member.brokerAccount}.dir.a`;
  const isBack = async (): Promise<boolean> => {
    const a = await bed.connectMember(member);
    const entry = await a.request('mc.get', JSON.stringify({ last_by_subj: subject }), { timeout: 300 });
    return entry.headers?.get('Nats-Subject') === subject;
  };
  let back = false;
  for (let tries = 0; tries < 50 && !back; tries += 1) {
    back = await isBack().catch(() => false);
    await sleep(100);
  }
  t.true(back);
});

test('startBroker() ends a server that hangs', async (t) => {
  await using bed = await Bed.open();
  const pid = bed.broker.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  const since = performance.now();
  await bed.stop();
  t.true(performance.now() - since < 8_000);
  t.false(await runs(pid));
});

test('startBroker() starts another server in place of one that hangs, and leaves one alone that only paused', async (t) => {
  await using bed = await Bed.open({ hangMs: 3_000 });
  const connection = await bed.connectMember(await bed.join('east', ['10.1.0.0/16']), { forever: true });
  const { pid = 0 } = bed.broker;
  process.kill(pid, 'SIGSTOP');
  await sleep(3_000);
  process.kill(pid, 'SIGCONT');
  await sleep(2_000);
  t.is(bed.broker.pid, pid, 'it only paused');
  process.kill(pid, 'SIGSTOP');
  for (let tries = 0; bed.broker.pid === pid && tries < 300; tries += 1) await sleep(100);
  t.not(bed.broker.pid, pid);
  t.false(await runs(pid));
  let answers = false;
  for (let tries = 0; !answers && tries < 100; tries += 1) {
    answers = await connection.request('put.gw.0', 'x', { timeout: 500 }).then(
      () => true,
      () => false,
    );
    await sleep(100);
  }
  t.true(answers, 'the member is back');
});

test('NatsChild starts no server any more once it is being disposed', async (t) => {
  await using place = await scratch();
  const program = join(place.dir, 'server');
  await writeFile(program, '#!/bin/sh\necho Server is ready\nexec sleep 60\n', { mode: 0o755 });
  const hold = Promise.withResolvers<undefined>();
  const prepared = Promise.withResolvers<undefined>();
  let starts = 0;
  const prepare = async (): Promise<void> => {
    starts += 1;
    if (starts < 2) return;
    prepared.resolve(undefined);
    await hold.promise;
  };
  const files = { configuration: 'none', pidFile: join(place.dir, 'pid') };
  const child = await NatsChild.start({ ...files, program, log, prepare });
  const { pid } = child;
  process.kill(pid ?? 0, 'SIGKILL');
  await prepared.promise;
  const disposed = child[Symbol.asyncDispose]();
  hold.resolve(undefined);
  await disposed;
  t.is(child.pid, pid, 'no other was started');
});

test('startBroker() ends the nats-server that a killed broker left behind, and no other', async (t) => {
  await using place = await scratch();
  const dir = join(place.dir, 'broker');
  await createBroker({ dir, advertise: ['127.0.0.1'], host: '127.0.0.1', port: await freePort() });
  const script = join(place.dir, 'broker.mjs');
  const url = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
  await writeFile(
    script,
    `import { startBroker } from ${url('start.ts')};
     const log = { debug() {}, info() {}, warn() {}, error() {}, child() { return log; } };
     const broker = await startBroker({ dir: ${JSON.stringify(dir)}, log });
     console.log(broker.pid);
     setInterval(() => {}, 1000);`,
  );
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = createInterface({ input: child.stdout });
  const orphan = Number((await said[Symbol.asyncIterator]().next()).value);
  child.kill('SIGKILL');
  await once(child, 'exit');
  t.true(await runs(orphan), 'it outlived the broker');
  await using broker = await startBroker({ dir, log });
  t.not(broker.pid, orphan);
  t.false(await runs(orphan));
});

test('startBroker() writes few lines about many strangers who make its server complain', async (t) => {
  const lines: string[] = [];
  await using bed = await Bed.open({
    log: openLog({ component: 'broker', destination: { write: (line) => void lines.push(line) } }),
  });
  const before = lines.length;
  for (let at = 0; at < 40; at += 1) {
    const plain = createConnection({ host: '127.0.0.1', port: bed.port });
    await once(plain, 'data');
    const socket = connect({ socket: plain, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    socket.resume().write('CONNECT {}\r\nPING\r\n');
    await once(socket, 'close');
  }
  await sleep(200);
  const about = lines.slice(before).filter((line) => line.includes('nats-server says'));
  t.true(about.length > 0 && about.length < 5, about.join(''));
});

test('startBroker() opens one port', async (t) => {
  await using bed = await Bed.open();
  const { pid } = bed.broker;
  const inodes = new Set<string>();
  for (const name of await readdir(`/proc/${pid}/fd`)) {
    const link = await readlink(`/proc/${pid}/fd/${name}`).catch(() => '');
    if (link.startsWith('socket:[')) inodes.add(link.slice('socket:['.length, -1));
  }
  const lines = await Promise.all(
    ['tcp', 'tcp6'].map((table) => readFile(`/proc/${pid}/net/${table}`, 'utf8')),
  );
  const listening = lines
    .join('\n')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === '0A' && inodes.has(inode ?? ''))
    .map(([, local]) => Number.parseInt(local?.split(':')[1] ?? '', 16));
  t.deepEqual(listening, [bed.port]);
});

/** A process that nobody has waited for yet does not run. */
async function runs(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return !stat.slice(stat.lastIndexOf(')')).startsWith(') Z');
}

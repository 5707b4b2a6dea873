import test from 'ava';
import { openMetrics, serveStatus } from '#lib/metrics';
import type { StatusOptions } from '#lib/metrics';

function options(more: Partial<StatusOptions> = {}): StatusOptions {
  return {
    port: 0,
    registry: openMetrics({ component: 'test', version: '1.2.3' }),
    ready: () => undefined,
    state: () => ({ tunnels: 4 }),
    ...more,
  };
}

async function get(port: number, path: string): Promise<readonly [status: number, body: string]> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return [response.status, await response.text()];
}

test('openMetrics() tells build, memory, processor time and what is added, in a registry of its own', async (t) => {
  const metrics = openMetrics({ component: 'gateway', version: '1.2.3' });
  metrics.counter('isthmus_passes_total', 'Passes', ['result']).inc({ result: 'changed' });
  metrics.histogram('isthmus_pass_seconds', 'Time of a pass', [0.1, 1]).observe(0.5);
  openMetrics({ component: 'other', version: '1' });
  const text = await metrics.metrics();
  t.regex(text, /isthmus_build_info\{component="gateway",version="1\.2\.3"\} 1/);
  t.regex(text, /isthmus_passes_total\{result="changed"\} 1/);
  t.regex(text, /isthmus_pass_seconds_bucket\{le="0\.1"\} 0/);
  t.regex(text, /process_resident_memory_bytes [1-9]/);
  t.regex(text, /process_cpu_seconds_total [0-9]/);
  t.notRegex(text, /other/);
});

test('openMetrics() sets a gauge anew whenever somebody asks', async (t) => {
  const metrics = openMetrics({ component: 'test', version: '1' });
  let paths = ['a', 'b'];
  metrics.gauge('isthmus_path', 'Paths', ['path'], (gauge) => {
    for (const path of paths) gauge.inc({ path });
  });
  const said = async (): Promise<string[]> =>
    (await metrics.metrics()).split('\n').filter((line) => line.startsWith('isthmus_path{'));
  t.deepEqual(await said(), ['isthmus_path{path="a"} 1', 'isthmus_path{path="b"} 1']);
  paths = ['b'];
  t.deepEqual(await said(), ['isthmus_path{path="b"} 1']);
});

test('serveStatus() answers metrics, health, readiness and state', async (t) => {
  const reasons = ['no plan was applied yet', undefined];
  await using server = await serveStatus(options({ ready: () => reasons.shift() }));
  t.deepEqual(await get(server.port, '/healthz'), [200, 'ok\n']);
  t.deepEqual(await get(server.port, '/readyz'), [503, 'no plan was applied yet\n']);
  t.deepEqual(await get(server.port, '/readyz'), [200, 'ok\n']);
  t.deepEqual(await get(server.port, '/state'), [200, '{"tunnels":4}']);
  t.regex((await get(server.port, '/metrics'))[1], /isthmus_build_info/);
  t.is((await get(server.port, '/'))[0], 404);
});

test('serveStatus() answers 500 with the reason when the state cannot be told', async (t) => {
  const state = (): never => {
    throw new Error('Cannot read the plan');
  };
  await using server = await serveStatus(options({ state }));
  t.deepEqual(await get(server.port, '/state'), [500, 'Cannot answer: Cannot read the plan\n']);
});

test('serveStatus() names the port and the next command when the port is in use', async (t) => {
  await using server = await serveStatus(options());
  const { port } = server;
  await t.throwsAsync(serveStatus(options({ port })), {
    message: `Cannot serve status on "127.0.0.1:${port}": the port is in use. See by whom: ss -ltnp "sport = :${port}"`,
  });
});

test('serveStatus() closes when its signal is aborted', async (t) => {
  const stop = new AbortController();
  const server = await serveStatus(options({ signal: stop.signal }));
  stop.abort();
  await t.throwsAsync(get(server.port, '/healthz'));
});

import test from 'ava';
import { analyse } from './analyse.ts';
import { traceOf, type ConnectionTrace, type FlowTrace, type Trace } from './trace.ts';

/** One datagram each 10 ms from 0 on, which takes 1 ms: `arrived` are sequence numbers in the order of their arrival. */
function flow(
  sent: number,
  arrived: readonly (number | readonly [sequence: number, at: number])[],
): FlowTrace {
  const at = (sequence: number): number => sequence * 10 + 1;
  return {
    id: 'a → b #0',
    sent: Array.from({ length: sent }, (_, n) => n * 10),
    arrivals: arrived.map((each) =>
      typeof each === 'number' ? { sequence: each, at: at(each) } : { sequence: each[0], at: each[1] },
    ),
  };
}

function trace(flows: readonly FlowTrace[], connections: readonly ConnectionTrace[] = []): Trace {
  return { flows, connections, cpu: 0 };
}

test('analyse() finds nothing wrong with a flow that arrives whole', (t) => {
  const { udp } = analyse(trace([flow(10, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])]), { from: 0, to: 100 });
  t.deepEqual(udp, {
    sent: 10,
    received: 10,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    silenceMs: 10,
    pauseMs: 10,
  });
});

test('analyse() tells lost, duplicated and reordered datagrams apart', (t) => {
  // 2 is lost, 3 comes twice, 5 comes after 6, and 4 comes late and twice.
  const arrivals = [0, 1, 3, [3, 32], 6, [5, 62], [4, 63], [4, 64], 7] as const;
  const { udp } = analyse(trace([flow(8, arrivals)]), { from: 0, to: 80 });
  t.is(udp.sent, 8);
  t.is(udp.received, 7);
  t.is(udp.lost, 1);
  t.is(udp.duplicated, 2);
  t.is(udp.reordered, 2);
});

test('analyse() measures silence between first arrivals, the ends of the window included', (t) => {
  const silence = (arrived: Parameters<typeof flow>[1], to = 100): number =>
    analyse(trace([flow(10, arrived)]), { from: 0, to }).udp.silenceMs;
  t.is(silence([0, 1, 2, 7, 8, 9]), 50);
  t.is(silence([0, 1, 2, [2, 50], 7, 8, 9]), 50, 'what had come before does not end a silence');
  t.is(silence([4, 5, 6, 7, 8, 9]), 41, 'from the begin');
  t.is(silence([0, 1, 2, 3]), 69, 'to the end');
  t.is(silence([]), 100, 'nothing came at all');
  t.is(silence([0, 1, 2, 3], 40), 10, 'what is after the window is not looked at');
});

test('analyse() counts what was sent in the window, whenever it arrived', (t) => {
  const late = flow(10, [0, 1, 2, 3, 5, 6, 7, 8, 9, [4, 250]]);
  const part = analyse(trace([late]), { from: 40, to: 60 }).udp;
  t.is(part.sent, 2);
  t.is(part.lost, 0);
  t.is(part.reordered, 1);
  t.is(part.silenceMs, 11);
});

test('analyse() says of all flows the sums, and the longest silence of any', (t) => {
  const { flows, udp } = analyse(trace([flow(10, [0, 1, 2, 9]), flow(10, [0, 1, 2, 3, 4, 5, 9])]), {
    from: 0,
    to: 100,
  });
  t.deepEqual(
    flows.map(({ lost }) => lost),
    [6, 3],
  );
  t.is(udp.lost, 9);
  t.is(udp.sent, 20);
  t.is(udp.silenceMs, 70);
});

test('analyse() shows by its pause when the sender itself was hung', (t) => {
  const { udp } = analyse(
    trace([
      {
        id: 'a',
        sent: [0, 10, 90],
        arrivals: [0, 1, 2].map((n) => ({ sequence: n, at: [1, 11, 91][n] ?? 0 })),
      },
    ]),
    { from: 0, to: 100 },
  );
  t.is(udp.pauseMs, 80);
  t.is(udp.silenceMs, 80);
});

const whole: ConnectionTrace = { id: 'c', sent: [0, 20, 40, 60, 80], echoed: [1, 21, 41, 61, 81] };

test('analyse() takes a connection for lost that ended by itself, or that never gave back what it was sent', (t) => {
  const lost = (...connections: readonly ConnectionTrace[]): number =>
    analyse(trace([], connections), { from: 0, to: 100 }).tcp.lost;
  t.is(lost(whole), 0);
  t.is(lost({ ...whole, ended: { at: 50, why: 'ECONNRESET' } }), 1);
  t.is(lost({ ...whole, ended: { at: 150, why: 'ECONNRESET' } }), 0, 'after the window');
  t.is(lost({ ...whole, echoed: [1, 21] }), 1, 'it hangs');
  t.is(lost({ ...whole, echoed: [1, 21, 900, 900, 900] }), 0, 'it hung');
  t.is(lost(whole, { ...whole, echoed: [] }), 1);
});

test('analyse() leaves a connection that an earlier window lost out of a later one', (t) => {
  const reset: ConnectionTrace = {
    id: 'c',
    sent: [0, 20],
    echoed: [1, 21],
    ended: { at: 30, why: 'closed' },
  };
  const { tcp } = analyse(trace([], [reset, whole]), { from: 50, to: 100 });
  t.deepEqual(tcp, { opened: 1, lost: 0, silenceMs: 20 });
});

test('traceOf() joins what one side sent with what the other received', (t) => {
  const none = { sent: [], arrived: [], connections: [], cpuMs: 100, lastedMs: 1000 };
  const { flows, cpu } = traceOf([
    { pod: 'a', seen: { ...none, sent: [[0, 1], [2]] } },
    { pod: 'b', seen: { ...none, sent: [[5]], arrived: [{ sequences: [1, 0], at: [3, 4] }] } },
  ]);
  t.is(cpu, 0.2);
  t.deepEqual(flows, [
    {
      id: 'a → b #0',
      sent: [0, 1],
      arrivals: [
        { sequence: 1, at: 3 },
        { sequence: 0, at: 4 },
      ],
    },
    { id: 'a → b #1', sent: [2], arrivals: [] },
    { id: 'b → a #0', sent: [5], arrivals: [] },
  ]);
});

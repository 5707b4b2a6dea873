// How the lab's internet gives every UDP flow so much and no more, as clouds do.
// This module is pure.

/** What may wait, in seconds of the rate: with less, TCP does not fill it; with more, round trips show nothing but the queue. */
const QUEUE_SECONDS = 0.05;
/** Segmentation offload hands over up to 64 KiB as one packet: with less than two of them, one flow would starve. */
const LEAST_QUEUE = 128 * 1024;
/** Flows that have a class of their own; those after them share, in turn. */
const CLASSES = 256;
const MAJOR = '1';

/**
 * One HTB class a flow: conntrack numbers flows as they begin, and the number is the class in either direction. TCP inside a tunnel
 * gets 0.92 of the rate as payload, with one stream as with 64, which is what WireGuard's headers leave of it. A policer
 * (nftables' `limit`) is no use here: its bucket holds a whole second of the rate before anything is dropped.
 * @param mbps megabits a second; 0 is no cap
 * @returns an nftables ruleset that numbers flows, and `tc -batch` lines for each device; both empty without a cap
 */
export function flowCap(mbps: number, devices: readonly string[]): { nft: string; tc: readonly string[] } {
  if (mbps === 0) return { nft: '', tc: [] };
  const numbers = Array.from({ length: CLASSES }, (_, at) => at + 2);
  const map = numbers.map((number) => `${number} : ${MAJOR}:${number.toString(16)}`).join(', ');
  return {
    nft: `table inet cap {
  chain forward { type filter hook forward priority filter; policy accept;
    meta l4proto udp ct mark 0 ct mark set numgen inc mod ${CLASSES} offset 2
    meta l4proto udp meta priority set ct mark map { ${map} }
  }
}
`,
    tc: devices.flatMap((device) => [
      `qdisc add dev ${device} root handle ${MAJOR}: htb default 1`,
      `class add dev ${device} parent ${MAJOR}: classid ${MAJOR}:1 htb rate 100gbit quantum 60000`,
      ...numbers.flatMap((number) => classOf(device, number, mbps)),
    ]),
  };
}

function classOf(device: string, number: number, mbps: number): string[] {
  const id = `${MAJOR}:${number.toString(16)}`;
  const queue = Math.max(LEAST_QUEUE, Math.round(((mbps * 1e6) / 8) * QUEUE_SECONDS));
  const burst = 'burst 64k cburst 64k quantum 60000';
  return [
    `class add dev ${device} parent ${MAJOR}: classid ${id} htb rate ${Math.round(mbps * 1e6)}bit ${burst}`,
    `qdisc add dev ${device} parent ${id} bfifo limit ${queue}`,
  ];
}

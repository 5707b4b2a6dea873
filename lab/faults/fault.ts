// What a fault is: something broken on purpose, with the way back.

/** A fault in force. Undone twice is undone once; undoing waits for nothing but the fault's own traces. */
export interface Fault extends AsyncDisposable {
  /** `east/gw-0 ⇄ west/gw-1 black-holed` */
  readonly what: string;
  /** Packets that its own rules have taken, as long as it is in force: none means that nothing met it. Absent: it is not made of rules. */
  readonly dropped?: Dropped;
  undo(): Promise<void>;
}

type Dropped = () => Promise<number>;

export function faultOf(what: string, undo: () => Promise<void> = async () => {}, dropped?: Dropped): Fault {
  let undone: Promise<void> | undefined;
  const once = (): Promise<void> => (undone ??= undo());
  const counted = dropped === undefined ? {} : { dropped };
  return { what, ...counted, undo: once, [Symbol.asyncDispose]: once };
}

/** Several as one. What comes later is undone first; if one cannot be put in force, those before it are undone. */
export async function together(what: string, ...faults: readonly (() => Promise<Fault>)[]): Promise<Fault> {
  await using stack = new AsyncDisposableStack();
  const begun: Fault[] = [];
  for (const begin of faults) begun.push(stack.use(await begin()));
  const kept = stack.move();
  return faultOf(what, () => kept.disposeAsync(), droppedByAll(begun));
}

function droppedByAll(faults: readonly Fault[]): Dropped | undefined {
  const counts = faults.flatMap(({ dropped }) => dropped ?? []);
  if (counts.length === 0) return undefined;
  return async () => {
    const packets = await Promise.all(counts.map((count) => count()));
    return packets.reduce((sum, each) => sum + each, 0);
  };
}

// What a fault is: something broken on purpose, with the way back.

/** A fault in force. Undone twice is undone once; undoing waits for nothing but the fault's own traces. */
export interface Fault extends AsyncDisposable {
  /** `east/gw-0 ⇄ west/gw-1 black-holed` */
  readonly what: string;
  undo(): Promise<void>;
}

export function faultOf(what: string, undo: () => Promise<void> = async () => {}): Fault {
  let undone: Promise<void> | undefined;
  const once = (): Promise<void> => (undone ??= undo());
  return { what, undo: once, [Symbol.asyncDispose]: once };
}

/** Several as one. What comes later is undone first; if one cannot be put in force, those before it are undone. */
export async function together(what: string, ...faults: readonly (() => Promise<Fault>)[]): Promise<Fault> {
  await using stack = new AsyncDisposableStack();
  for (const begin of faults) stack.use(await begin());
  const kept = stack.move();
  return faultOf(what, () => kept.disposeAsync());
}

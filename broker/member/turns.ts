// One thing at a time.
// This module is pure.

/** Runs what it is given in the order in which it was given, each after the one before has ended. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  take<Result>(work: () => Promise<Result>): Promise<Result> {
    const mine = this.#last.then(work);
    // A failure is its caller's; whoever comes next begins all the same.
    this.#last = mine.catch(() => undefined);
    return mine;
  }
}

// The gateways of a thousand clusters, with the nodes behind them: they answer and ask as real ones do, until this process is ended.

import { Paths } from '#host';
import { ECHO_ADDRESSES, pathsOf } from './detector-ends.ts';

const paths = new Paths({
  changed: () => {},
  kick: () => {},
  speak: () => ({ impaired: false, draining: false, blocked: false }),
});
paths.hold({ paths: pathsOf('there'), echoes: ECHO_ADDRESSES });

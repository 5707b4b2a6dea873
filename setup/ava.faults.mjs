// Each fault of the failover table once, in a virtual machine with a stock kernel.

import kernel from './ava.kernel.mjs';

export default { ...kernel, files: ['lab/kernel/failover.test.ts'] };

//! Services of a tree do not run while it is made: Debian Policy 9.3.3.1, invoke-rc.d(8).

use crate::error::Result;
use crate::host::tree::Root;

/// What invoke-rc.d asks whether a service may be started.
pub(super) const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Its answer to everything: action forbidden.
const FORBIDDEN: &str = "#!/bin/sh\nexit 101\n";

/// Keeps maintainer scripts from starting services, until the file is removed.
pub(super) fn keep_from_starting(tree: &Root) -> Result<()> {
    tree.write(POLICY, 0o755, FORBIDDEN)
}

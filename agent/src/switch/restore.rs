//! `flow-restore-wait`: what lets a kernel datapath go on forwarding while `ovs-vswitchd` restarts.
//!
//! The switch reads the key until it has once read it as false, and then never again. It is
//! therefore *armed* at all times: once the flows are in, false is written, the switch is seen to
//! have read it, and true is written again. The running switch ignores that; the next one finds it,
//! keeps the cached flows of its predecessor, and waits for ours.

use std::time::Duration;

use ovsdb::{Mutate, Transaction, Where};

use super::schema::OpenVSwitch;
use super::{Switch, SwitchError, root};

const KEY: &str = "flow-restore-wait";

/// What arming found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Armed {
    /// The switch has read false, and is armed for its next start.
    Yes,
    /// The switch did not confirm that it read false: it may still be waiting, and forward nothing
    /// new. It must be tried again.
    Waiting,
}

impl Switch {
    /// Releases the switch if it waits for flows, and arms it for its next start. To be called once
    /// per session, after the flows are in.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub async fn arm(&self, limit: Duration) -> Result<Armed, SwitchError> {
        let goal = self.write(false).await?;
        let read = self
            .wait(limit, "the switch reading its configuration", |snapshot| {
                root(snapshot).filter(|root| root.cur_cfg >= goal).map(drop)
            })
            .await;
        match read {
            Ok(()) => {}
            // Left at false: a switch that has not read it yet does so when it comes round.
            Err(SwitchError::Late(_)) => return Ok(Armed::Waiting),
            Err(error) => return Err(error),
        }
        self.write(true).await?;
        Ok(Armed::Yes)
    }

    /// Waits until the switch has followed all that was asked of it.
    ///
    /// # Errors
    /// [`SwitchError::Late`] if it does not in time.
    pub async fn settled(&self, limit: Duration) -> Result<(), SwitchError> {
        self.wait(limit, "the switch reading its configuration", |snapshot| {
            root(snapshot)
                .filter(|root| root.cur_cfg >= root.next_cfg)
                .map(drop)
        })
        .await
    }

    /// Writes the key, and asks the switch to say when it has read it; returns the number to wait
    /// for in `cur_cfg`.
    async fn write(&self, wait: bool) -> Result<i64, SwitchError> {
        let mut transaction = Transaction::new();
        transaction.mutate(
            Mutate::<OpenVSwitch>::rows(Where::all())
                .put(
                    OpenVSwitch::other_config,
                    [(KEY, if wait { "true" } else { "false" })],
                )
                .add(OpenVSwitch::next_cfg, 1),
        );
        self.database.transact(transaction).await?;
        // The update of our own transaction is here before its answer.
        Ok(root(&self.database.snapshot()?)
            .map(|root| root.next_cfg)
            .unwrap_or_default())
    }
}

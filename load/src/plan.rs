//! Which socket and which commit of the sockets run belongs to which account and replica.

use serde::Serialize;

/// How many of each.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Plan {
    pub replicas: usize,
    pub sockets: usize,
    pub accounts: usize,
    pub commits: usize,
}

impl Plan {
    /// Sockets and commits take the accounts in turn.
    pub fn account_of(self, number: usize) -> usize {
        number % self.accounts
    }

    /// Each account's sockets take the replicas in turn, and so do its commits.
    pub fn replica_of(self, number: usize) -> usize {
        (number % self.accounts + number / self.accounts) % self.replicas
    }

    pub fn sockets_of(self, account: usize) -> usize {
        (self.sockets - account).div_ceil(self.accounts)
    }

    /// Events of all commits.
    pub fn events(self) -> usize {
        (0..self.commits).map(|commit| self.sockets_of(self.account_of(commit))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_spread_over_accounts_and_replicas() {
        for accounts in [1, 2, 3, 7, 10] {
            let plan = Plan { replicas: 2, sockets: 10, accounts, commits: 11 };
            for account in 0..accounts {
                let sockets = (0..plan.sockets).filter(|socket| plan.account_of(*socket) == account);
                let replicas: Vec<usize> = sockets.map(|socket| plan.replica_of(socket)).collect();
                assert_eq!(replicas.len(), plan.sockets_of(account), "{accounts} accounts");
                assert!(replicas.windows(2).all(|pair| pair[0] != pair[1]), "{accounts} accounts");
            }
            let on_first = (0..plan.sockets).filter(|socket| plan.replica_of(*socket) == 0).count();
            assert!((4..=6).contains(&on_first), "{on_first} with {accounts} accounts");
        }
    }

    #[test]
    fn every_commit_is_heard_by_the_sockets_of_its_account() {
        let plan = Plan { replicas: 2, sockets: 7, accounts: 3, commits: 4 };
        assert_eq!([0, 1, 2].map(|account| plan.sockets_of(account)), [3, 2, 2]);
        assert_eq!(plan.events(), 3 + 2 + 2 + 3);
    }
}

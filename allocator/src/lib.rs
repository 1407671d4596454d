//! The program's allocator: mimalloc, without huge pages.
//!
//! A crate of its own because its options are set by functions of C, and no other code here is unsafe.

pub use mimalloc::MiMalloc as Allocator;

/// The number of `mi_option_purge_delay` in `mimalloc.h`, which the bindings leave out.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Gives memory that is free back to the system at once, and not after a second.
///
/// For a process that is through with most of its memory within milliseconds: it holds a quarter less then, for a few
/// percent of its CPU.
pub fn give_back_at_once() {
    // SAFETY: it stores a number, atomically, and takes any.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) };
}

/// Gives memory that is free back to the system now: what this thread has freed, and all that threads had that have ended.
///
/// The allocator looks for it only while it is asked for more, and a process that is through with its start rests.
pub fn give_back() {
    // SAFETY: any thread may call it at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Allocator = Allocator;

    /// Pages that are resident.
    fn resident() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// What this thread has freed, and what another one had, is kept until it is given back. One test for both ways: the
    /// second is for the whole process.
    #[test]
    fn what_is_free_goes_back() {
        let fill = || drop((0..256).map(|_| vec![1_u8; 64 * 1024]).collect::<Vec<_>>());
        let before = resident();
        fill();
        std::thread::spawn(fill).join().unwrap();
        // Pages, of at least 16 MiB in all.
        assert!(resident() > before + 2048, "{before} pages before, {} while it is kept", resident());
        give_back();
        assert!(resident() < before + 1024, "{before} pages before, {} after", resident());

        // The number is that of the option: it has the option's default, and it is what is set.
        // SAFETY: it reads a number, atomically.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1000);
        give_back_at_once();
        assert_eq!(delay(), 0);
    }
}

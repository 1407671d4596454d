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

#[cfg(test)]
mod tests {
    use super::*;

    /// The number is that of the option: it has the option's default, and it is what is set.
    #[test]
    fn the_number_is_the_options() {
        // SAFETY: it reads a number, atomically.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1000);
        give_back_at_once();
        assert_eq!(delay(), 0);
    }
}

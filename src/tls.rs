//! TLS for all that we call.

/// Says by which library TLS is done: two others bring one each, and a third then does not know which to take. Done twice
/// is done.
pub fn choose_library() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

//! What SGX and TDX share: quote signature data, PCK chain, TCB info, QE identity.

//! All tests that see the project from outside, as one binary: linking DataFusion once is enough.

mod architecture;

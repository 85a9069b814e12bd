//! Tests of the blob store and of bodies on their way in and out.

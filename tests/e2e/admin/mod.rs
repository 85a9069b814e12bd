//! The Admin API, driven by the clients that operators of a HyperStore have, and by the recorded requests of CloudStack's plug-in.

mod clients;
mod recorded;

//! CloudStack's secondary storage: a template on its way between the bucket and the staging directory.

mod template;

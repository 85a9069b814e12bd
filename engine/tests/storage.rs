//! Buckets, objects, versions, multipart uploads, listing, usage, background work and restarts, against a real store in a directory of its own.

#![expect(clippy::unwrap_used, reason = "a test whose world cannot be set up must fail")]

#[path = "storage/access.rs"]
mod access;
#[path = "storage/access_log.rs"]
mod access_log;
#[path = "storage/backup.rs"]
mod backup;
#[path = "storage/bad_disk.rs"]
mod bad_disk;
#[path = "storage/bad_sectors.rs"]
mod bad_sectors;
#[path = "shared/blobs.rs"]
mod blobs;
#[path = "storage/buckets.rs"]
mod buckets;
#[path = "storage/check.rs"]
mod check;
#[path = "storage/crossed.rs"]
mod crossed;
#[path = "storage/damage.rs"]
mod damage;
#[path = "shared/databases.rs"]
mod databases;
#[path = "storage/drawn_listings.rs"]
mod drawn_listings;
#[path = "storage/encryption.rs"]
mod encryption;
#[path = "storage/events.rs"]
mod events;
#[path = "storage/lifecycle.rs"]
mod lifecycle;
#[path = "storage/listing.rs"]
mod listing;
#[path = "storage/locks.rs"]
mod locks;
#[path = "storage/moved.rs"]
mod moved;
#[path = "storage/multipart.rs"]
mod multipart;
#[path = "storage/objects.rs"]
mod objects;
#[path = "storage/packs.rs"]
mod packs;
#[path = "storage/permissions.rs"]
mod permissions;
#[path = "storage/postgres.rs"]
mod postgres;
#[path = "storage/pressure.rs"]
mod pressure;
#[path = "storage/quota.rs"]
mod quota;
#[path = "storage/rebuild.rs"]
mod rebuild;
#[path = "storage/recorder.rs"]
mod recorder;
#[path = "storage/remembered.rs"]
mod remembered;
#[path = "storage/scrub.rs"]
mod scrub;
#[path = "storage/snapshots.rs"]
mod snapshots;
#[path = "shared/tenants.rs"]
mod tenants;
#[path = "storage/together.rs"]
mod together;
#[path = "storage/unrestored.rs"]
mod unrestored;
#[path = "storage/upkeep.rs"]
mod upkeep;
#[path = "storage/versions.rs"]
mod versions;
#[path = "storage/whole.rs"]
mod whole;
#[path = "storage/world.rs"]
mod world;

//! What was deleted and freed stays so, whenever the power fails.

use simulated_disk::SimulatedDisk;

use crate::blobs::blobs;
use crate::model::{Content, Operation};
use crate::store::{Manner, Prepared, Store, data_dir, scratch};

/// Power cuts drawn.
const SEEDS: u64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_were_freed_do_not_come_back() {
    let prepared = Prepared::new().await;
    for manner in Manner::BOTH {
        let root = prepared.copy();
        let disk = SimulatedDisk::open(root.path()).unwrap();
        let store = Store::open_as(&disk, root.path(), &prepared.ada, manner).await.unwrap();
        let (client, mut model) = (store.client("freed"), None);
        let keys: Vec<String> = (0..6).map(|number| format!("o{number}")).collect();
        let put = |key: &String| Operation::Put { key: key.clone(), content: Content::noise(60_000, key.len() as u64) };
        let operations = [Operation::CreateBucket].into_iter().chain(keys.iter().map(put));
        // One stays, so that its pack does.
        let operations = operations.chain([Operation::Delete { keys: keys[1..].to_vec() }, Operation::Clean]);
        for operation in operations {
            client.perform(&operation, &model).await.unwrap();
            model = operation.apply(&model);
        }
        assert_eq!(blobs(&data_dir(root.path())).len(), 1);
        disk.crash_now();
        store.close().await;
        for seed in 0..SEEDS {
            let after = scratch();
            disk.cut_power(seed, after.path()).unwrap();
            assert_eq!(
                blobs(&data_dir(after.path())).len(),
                1,
                "seed {seed}, packs up to {}",
                manner.pack_size_bytes_max
            );
        }
    }
}

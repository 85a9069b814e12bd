//! What cannot be done is refused with a word that helps.

use std::path::Path;

use tests::{Output, Script, binary};

async fn cloudhold(folder: &Path, words: &[&str]) -> Output {
    Script::program(binary()).args(words).within(folder).run().await
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_a_running_store_say_so() {
    let folder = tempfile::tempdir().unwrap();
    for words in [
        &["status"][..],
        &["connector", "plan"],
        &["connector", "sync"],
        &["connector", "status"],
        &["connector", "check"],
        &["staging", "list"],
        &["staging", "pull", "secondary", "template/tmpl/1/200/u/f"],
        &["staging", "push", "template/tmpl/1/200/f"],
        &["staging", "evict", "--all"],
        &["trash", "list"],
        &["secondary-storage", "prepare"],
    ] {
        let output = cloudhold(folder.path(), &[words, &["--data-dir", "nowhere"]].concat()).await;
        assert_eq!(output.code, Some(1), "{words:?}");
        let said = output.failed();
        assert!(said.contains("no store runs on") && said.contains("nowhere"), "{words:?}: {said}");
    }
    assert!(!folder.path().join("nowhere").exists(), "asking makes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_refused_with_the_nearest_right_name() {
    let folder = tempfile::tempdir().unwrap();
    for (text, wrong, right) in [
        ("[cloudstack]\nulr = \"http://x\"\n", "cloudstack.ulr", "cloudstack.url"),
        ("[doors]\nadress = \"127.0.0.1\"\n", "doors.adress", "doors.address"),
        ("[engine]\ntrash_grace_day = 1\n", "engine.trash_grace_day", "engine.trash_grace_days"),
    ] {
        std::fs::write(folder.path().join("cloudhold.toml"), text).unwrap();
        let said = cloudhold(folder.path(), &["serve", "--ports", "auto", "--data-dir", "data"]).await.failed();
        assert!(said.contains(wrong) && said.contains(&format!("did you mean `{right}`")), "{said}");
    }
    std::fs::remove_file(folder.path().join("cloudhold.toml")).unwrap();
    let script = Script::program(binary()).args(&["serve", "--ports", "auto", "--data-dir", "data"]);
    let said = script.env("CLOUDHOLD_ENGINE__READRS", "4").within(folder.path()).run().await.failed();
    assert!(said.contains("did you mean `engine.readers`"), "{said}");
    assert!(!folder.path().join("data").exists(), "a refused configuration makes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_a_wrong_configuration_are_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[cloudstack]\nurl = \"http://127.0.0.1:1/client/api\"\napi_key = \"k\"\nsecret_key = \"TELL-NOBODY\"\nsso_key = 7\n";
    std::fs::write(folder.path().join("cloudhold.toml"), text).unwrap();
    for words in [&["serve", "--data-dir", "data"][..], &["config", "show", "--data-dir", "data"]] {
        let output = cloudhold(folder.path(), words).await;
        assert!(!format!("{output:?}").contains("TELL-NOBODY"), "{output:?}");
    }
}

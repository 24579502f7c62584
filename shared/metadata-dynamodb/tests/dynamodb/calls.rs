//! What each operation costs: calls to the table, once the process knows the repository.

use roadstead_metadata::{
    BlobStore, CatalogStore, HashState, LinkStore, ManifestStore, Page, ReferrerQuery,
    ReferrerStore, Repositories, TagStore, UploadStore,
};
use roadstead_metadata_dynamodb::sdk::config::retry::RetryConfig;
use roadstead_oci::{Reference, SHA256_STATE_LENGTH};

use crate::kit::{adopt, app, begin, manifest, many, push, session, sha256, sha512, subject, tag};
use crate::proxy::Proxy;
use crate::store::{Table, client};

#[tokio::test]
async fn operations_cost_few_calls() {
    let Some(table) = Table::new().await else {
        return;
    };
    let proxy = Proxy::new(table.address).await;
    let db = table.back_end_over(client(proxy.address, RetryConfig::disabled()));
    let (app, content) = (app(), sha256(b"content"));
    let (small, large) = (manifest("small", 1), manifest("large", 300_000));
    let medium = manifest("medium", 100_000);
    let state = HashState {
        offset: 7,
        state: [7; SHA256_STATE_LENGTH],
        identity: None,
    };
    let hundred = many("t", 100);
    let hundred: Vec<&str> = hundred.iter().map(String::as_str).collect();
    let costs = |what: &str, expected: &[&str]| {
        assert_eq!(proxy.calls(), expected, "{what}");
    };
    let by_digest = |digest: &roadstead_oci::Digest| Reference::Digest(digest.clone());

    begin(&table, &db, "0-0-1").await.unwrap();
    costs("the first upload of a repository", &["PutItem", "PutItem"]);
    begin(&table, &db, "0-0-2").await.unwrap();
    costs("begin", &["PutItem"]);
    db.upload(&app, "0-0-1").await.unwrap().unwrap();
    costs("upload", &["GetItem"]);
    db.save_hash_state(&session("0-0-1"), &state).await.unwrap();
    costs("save_hash_state", &["UpdateItem"]);
    db.hash_state(&session("0-0-1"), 7).await.unwrap().unwrap();
    costs("hash_state", &["GetItem"]);
    adopt(&db, "0-0-1").await.unwrap();
    costs("adopt", &["TransactWriteItems"]);
    adopt(&db, "0-0-2").await.unwrap();
    let again = [
        "TransactWriteItems",
        "GetItem",
        "GetItem",
        "TransactWriteItems",
    ];
    costs("adopt what is there already", &again);
    db.link(&app, &content, None).await.unwrap();
    costs("link", &["UpdateItem"]);
    db.link(&app, &content, Some(&sha512(b"content")))
        .await
        .unwrap();
    costs("link with an alias", &["TransactWriteItems"]);
    db.end(&app, "0-0-1").await.unwrap();
    costs("end what has become a blob", &["UpdateItem"]);
    db.purge(&app, "0-0-1").await.unwrap();
    let purge = ["UpdateItem", "GetItem", "DeleteItem"];
    costs("purge", &purge);
    begin(&table, &db, "0-0-3").await.unwrap();
    db.end(&app, "0-0-3").await.unwrap();
    costs("begin and end", &["PutItem", "UpdateItem"]);
    db.linked(&app, &sha512(b"content")).await.unwrap().unwrap();
    costs("linked", &["GetItem"]);
    db.location(&content).await.unwrap().unwrap();
    costs("location", &["GetItem"]);

    db.record(&push(&small, &["latest"])).await.unwrap();
    costs(
        "the first manifest of a repository",
        &["UpdateItem", "TransactWriteItems"],
    );
    db.record(&push(&small, &["latest", "1", "2"]))
        .await
        .unwrap();
    costs("record", &["TransactWriteItems"]);
    db.record(&push(&small, &hundred)).await.unwrap();
    costs("record with a hundred tags", &["TransactWriteItems"; 3]);
    db.record(&push(&medium, &["medium"])).await.unwrap();
    costs("record without a copy", &["TransactWriteItems"]);
    db.record(&push(&large, &["large"])).await.unwrap();
    costs(
        "record large",
        &["GetItem", "PutItem", "TransactWriteItems"],
    );
    db.record(&push(&large, &["large"])).await.unwrap();
    costs("record large again", &["GetItem", "TransactWriteItems"]);
    for (what, reference, calls) in [
        ("pull by tag", Reference::Tag(tag("latest")), 1),
        ("pull by digest", by_digest(&small.digest), 1),
        (
            "pull by another digest",
            by_digest(&sha512(&small.bytes)),
            2,
        ),
        ("pull of 100 KB by digest", by_digest(&medium.digest), 1),
        ("pull of 100 KB by tag", Reference::Tag(tag("medium")), 2),
        ("pull of 300 KB by digest", by_digest(&large.digest), 2),
        ("pull of 300 KB by tag", Reference::Tag(tag("large")), 3),
        (
            "pull of what is not there",
            Reference::Tag(tag("nothing")),
            1,
        ),
    ] {
        db.manifest(&app, &reference).await.unwrap();
        costs(what, &vec!["GetItem"; calls]);
    }
    db.revision(&app, &sha512(&small.bytes))
        .await
        .unwrap()
        .unwrap();
    costs("revision", &["GetItem"]);
    db.tag(&app, &tag("latest")).await.unwrap().unwrap();
    costs("tag", &["GetItem"]);
    db.tags(&app, Page::ALL).await.unwrap().unwrap();
    costs("tags", &["Query"]);
    let query = ReferrerQuery {
        subject: &subject(),
        artifact_type: None,
        page: Page::ALL,
    };
    db.referrers(&app, query).await.unwrap();
    let large_edges = ["Query", "GetItem", "GetItem", "GetItem"];
    costs("referrers, two of them too large for a row", &large_edges);
    db.repositories(Repositories::All, Page::ALL).await.unwrap();
    costs("repositories", &["Query"; 8]);
    db.repositories(Repositories::WithManifests, Page::ALL)
        .await
        .unwrap();
    costs("catalog of one", &["Query"; 9]);
    db.revisions(&app, Page::ALL).await.unwrap();
    costs("revisions", &["Query"]);
    db.blobs(Page::ALL).await.unwrap();
    costs("blobs", &["Query"; 17]);

    assert!(db.delete_tag(&app, &tag("1")).await.unwrap());
    costs("delete_tag", &["TransactWriteItems"]);
    db.delete_manifest(&app, &medium.digest, None)
        .await
        .unwrap();
    costs(
        "delete_manifest",
        &["GetItem", "Query", "TransactWriteItems"],
    );
    db.unlink(&app, &content).await.unwrap();
    costs("unlink", &["GetItem", "TransactWriteItems"]);
    db.delete_blob(&content).await.unwrap();
    costs(
        "delete_blob",
        &["GetItem", "TransactWriteItems", "DeleteItem"],
    );
}

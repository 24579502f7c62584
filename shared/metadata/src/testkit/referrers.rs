//! [`ReferrerStore`](crate::ReferrerStore).

use super::*;
use crate::ReferrerQuery;

/// In pages of any size; the subject need not be there.
pub async fn referrers_are_listed_in_the_order_of_their_digests(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let subject = sha256(b"subject");
    let mut digests = Vec::new();
    for seed in ["1", "2", "3", "4", "5"] {
        let image = manifest_with(seed, &subject_field(&subject));
        metadata.record(&push("app", &image, &[])).await?;
        digests.push(image.digest.to_string());
    }
    let other = manifest_with("6", &subject_field(&sha256(b"another")));
    metadata.record(&push("app", &other, &[])).await?;
    let elsewhere = manifest_with("7", &subject_field(&subject));
    metadata.record(&push("app/b", &elsewhere, &[])).await?;
    digests.sort();
    let list = async |page: Page<'_>| referrers_of(&*metadata, "app", &subject, None, page).await;
    check_pages(list, &digests, &[super::links::BESIDE]).await
}

/// A page is as full as it can be then too.
pub async fn referrers_can_be_chosen_by_their_type(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let subject = sha256(b"subject");
    let mut signatures = Vec::new();
    for number in 0..10 {
        let artifact_type = ["a/signature", "a/sbom"][number % 2];
        let more = format!(
            r#"{},"artifactType":"{artifact_type}""#,
            subject_field(&subject)
        );
        let image = manifest_with(&number.to_string(), &more);
        metadata.record(&push("app", &image, &[])).await?;
        if number % 2 == 0 {
            signatures.push(image.digest.to_string());
        }
    }
    signatures.sort();
    let of_type = async |artifact_type, page: Page<'_>| {
        referrers_of(&*metadata, "app", &subject, Some(artifact_type), page).await
    };
    let list = async |page: Page<'_>| of_type("a/signature", page).await;
    check_pages(list, &signatures, &[super::links::BESIDE]).await?;
    assert_eq!(of_type("a/sign", Page::ALL).await?, Vec::<String>::new());
    Ok(())
}

/// Annotations may be as large as a manifest.
pub async fn a_referrer_may_be_listed_at_any_length(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let subject = sha256(b"subject");
    for size in [1000, 100_000, 1_000_000] {
        let filling = "x".repeat(size);
        let more = format!(
            r#"{},"annotations":{{"a":"{filling}"}}"#,
            subject_field(&subject)
        );
        let image = manifest_with(&size.to_string(), &more);
        metadata.record(&push("app", &image, &[])).await?;
        let query = ReferrerQuery {
            subject: &subject,
            artifact_type: None,
            page: Page::ALL,
        };
        let listed = metadata.referrers(&name("app"), query).await?;
        let listed = listed.into_iter().find(|one| one.digest == image.digest);
        assert_eq!(listed, edge(&image).map(|edge| edge.descriptor), "{size}");
    }
    Ok(())
}

/// Both ways of deleting, and a push brings it back.
pub async fn an_edge_goes_with_its_manifest(store: &dyn Store) -> Outcome {
    let (metadata, app) = (store.metadata(), name("app"));
    let subject = sha256(b"subject");
    let image = manifest_with("1", &subject_field(&subject));
    let listed = async || referrers_of(&*metadata, "app", &subject, None, Page::ALL).await;
    for _ in 0..2 {
        metadata.record(&push("app", &image, &["a"])).await?;
        assert_eq!(listed().await?, [image.digest.to_string()]);
        metadata
            .delete_manifest(&app, &image.digest, Some(&subject))
            .await?;
        assert_eq!(listed().await?, Vec::<String>::new());
        metadata.record(&push("app", &image, &[])).await?;
        assert_eq!(listed().await?, [image.digest.to_string()]);
        metadata
            .sweep(&app)
            .await?
            .manifest(&image.digest, Some(&subject), later())
            .await?;
        assert_eq!(listed().await?, Vec::<String>::new());
    }
    Ok(())
}

pub(super) async fn referrers_of(
    metadata: &dyn Metadata,
    repository: &str,
    subject: &Digest,
    artifact_type: Option<&str>,
    page: Page<'_>,
) -> Result<Vec<String>, Error> {
    let query = ReferrerQuery {
        subject,
        artifact_type,
        page,
    };
    let referrers = metadata.referrers(&name(repository), query).await?;
    Ok(referrers.iter().map(|one| one.digest.to_string()).collect())
}

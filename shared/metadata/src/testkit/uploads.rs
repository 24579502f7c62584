//! [`UploadStore`](crate::UploadStore).

use roadstead_oci::SHA256_STATE_LENGTH;

use super::*;
use crate::HashState;

/// For every process, and in its own repository only.
pub async fn an_upload_is_there_until_it_ends(store: &dyn Store) -> Outcome {
    let session = session("app", "01938f3c-7b1e-7000-8000-0123456789ab");
    store.metadata().begin(&session).await?;
    let metadata = store.metadata();
    metadata.begin(&session).await?;
    let found = metadata.upload(&name("app"), &session.id).await?;
    assert_eq!(found.as_ref(), Some(&session));
    for elsewhere in ["app/b", "ap"] {
        assert_eq!(metadata.upload(&name(elsewhere), &session.id).await?, None);
    }
    assert_eq!(metadata.upload(&name("app"), &session.id[..8]).await?, None);
    for _ in 0..2 {
        metadata.end(&name("app"), &session.id).await?;
        assert_eq!(metadata.upload(&name("app"), &session.id).await?, None);
    }
    Ok(())
}

/// Neither bytes nor states, and nothing of its neighbours is gone.
pub async fn an_ended_upload_leaves_nothing(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let sessions = ["0-0-1", "0-0-11"].map(|id| session("app", id));
    for session in &sessions {
        metadata.begin(session).await?;
        store
            .put(&metadata.upload_location(session), "bytes".into())
            .await;
        metadata.save_hash_state(session, &state(5)).await?;
    }
    let [ended, other] = &sessions;
    metadata.end(&name("app"), &ended.id).await?;
    assert_eq!(store.get(&metadata.upload_location(ended)).await, None);
    assert!(metadata.hash_state(ended, 5).await?.is_none());
    let uploads = metadata.uploads(&name("app")).await?;
    assert_eq!(uploads.iter().filter(|upload| !upload.is_ended).count(), 1);
    let bytes = store.get(&metadata.upload_location(other)).await;
    assert_eq!(bytes.as_deref(), Some(&b"bytes"[..]));
    assert_eq!(offset(&*metadata, other, 5).await?, Some(5));
    Ok(())
}

/// Whatever a client may write into a URL.
pub async fn what_can_be_no_upload_is_none(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    metadata.begin(&session("app", "0-0-1")).await?;
    let long = "0".repeat(3000);
    for id in [
        "", ".", "..", "../0-0-1", "a/b", "0-0-1/", "a#b", "é", "\0", " ", &long,
    ] {
        assert_eq!(metadata.upload(&name("app"), id).await?, None, "{id:?}");
    }
    Ok(())
}

/// Those beyond are forgotten: their bytes were lost, and others may come in their place.
pub async fn the_last_hash_state_within_the_size_is_found(store: &dyn Store) -> Outcome {
    let (metadata, session) = (store.metadata(), session("app", "0-0-1"));
    metadata.begin(&session).await?;
    assert_eq!(offset(&*metadata, &session, 1000).await?, None);
    for at in [9, 10, 100, 5_000_000_000] {
        metadata.save_hash_state(&session, &state(at)).await?;
    }
    let size = 5_000_000_000;
    assert_eq!(offset(&*metadata, &session, size + 1).await?, Some(size));
    assert_eq!(offset(&*metadata, &session, size).await?, Some(size));
    assert_eq!(offset(&*store.metadata(), &session, 99).await?, Some(10));
    assert_eq!(offset(&*metadata, &session, size).await?, Some(10));
    metadata.save_hash_state(&session, &state(50)).await?;
    metadata.save_hash_state(&session, &state(50)).await?;
    assert_eq!(offset(&*metadata, &session, size).await?, Some(50));
    assert_eq!(offset(&*metadata, &session, 8).await?, None);
    assert_eq!(offset(&*metadata, &session, size).await?, None);
    for at in 0..40 {
        metadata.save_hash_state(&session, &state(at)).await?;
        assert_eq!(offset(&*metadata, &session, at).await?, Some(at));
    }
    Ok(())
}

/// With when they were begun.
pub async fn uploads_of_a_repository_are_listed(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    for id in ["0-0-1", "0-0-2", "0-0-3"] {
        metadata.begin(&session("app", id)).await?;
    }
    metadata.begin(&session("app/b", "0-0-4")).await?;
    metadata.end(&name("app"), "0-0-2").await?;
    let mut uploads = metadata.uploads(&name("app")).await?;
    uploads.retain(|upload| !upload.is_ended);
    uploads.sort_by(|one, other| one.id.cmp(&other.id));
    let ids: Vec<&str> = uploads.iter().map(|upload| upload.id.as_str()).collect();
    assert_eq!(ids, ["0-0-1", "0-0-3"]);
    assert!(
        uploads
            .iter()
            .all(|upload| upload.started_at.is_some_and(is_recent))
    );
    Ok(())
}

/// Of which bytes it is; a back end may not keep that.
pub async fn a_hash_state_says_of_which_bytes_it_is(store: &dyn Store) -> Outcome {
    let (metadata, session) = (store.metadata(), session("app", "0-0-1"));
    metadata.begin(&session).await?;
    for identity in [None, Some("one".to_owned()), Some("other".to_owned())] {
        let saved = HashState {
            identity: identity.clone(),
            ..state(5)
        };
        metadata.save_hash_state(&session, &saved).await?;
        let found = metadata.hash_state(&session, 5).await?;
        let of = found.as_ref().and_then(|found| found.identity.clone());
        assert_eq!(found.map(|found| found.state), Some(saved.state));
        assert!([None, identity].contains(&of));
    }
    Ok(())
}

fn state(offset: u64) -> HashState {
    let mut state = [7; SHA256_STATE_LENGTH];
    state[..8].copy_from_slice(&offset.to_be_bytes());
    HashState {
        offset,
        state,
        identity: None,
    }
}

/// The offset of the state that is found; the state is the one that was saved with it.
async fn offset(
    metadata: &dyn Metadata,
    session: &UploadSession,
    size: u64,
) -> Result<Option<u64>, Error> {
    let found = metadata.hash_state(session, size).await?;
    if let Some(found) = &found {
        assert_eq!(found.state, state(found.offset).state);
    }
    Ok(found.map(|found| found.offset))
}

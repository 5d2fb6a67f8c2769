//! Whether a sender is who it should be: a token it shows, or a signature over the body. Compared in constant time.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Headers, Refusal, RefusalKind};

/// Whether `Authorization: Bearer` shows this token.
pub(super) fn bearer(headers: &Headers, token: &[u8]) -> Result<(), Refusal> {
    let remedy =
        "send the header Authorization: Bearer with the token in the file of deploys.token_file";
    let Some(given) = headers.get("authorization") else {
        return Err(unauthorized("there is no Authorization header", remedy));
    };
    let shown = given
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, shown)| shown.trim());
    let Some(shown) = shown else {
        return Err(unauthorized(
            "the Authorization header is not of the Bearer scheme",
            remedy,
        ));
    };
    // Of equal length, whatever was sent.
    let same = Sha256::digest(shown.as_bytes()).ct_eq(&Sha256::digest(token));
    if bool::from(same) {
        Ok(())
    } else {
        Err(unauthorized("the token is not the right one", remedy))
    }
}

/// Whether the header signs this body with this key: `sha256=` and the HMAC in hexadecimal.
pub(super) fn signature(
    headers: &Headers,
    header: &str,
    setting: &str,
    key: &[u8],
    body: &[u8],
) -> Result<(), Refusal> {
    let remedy = format!("sign with the secret in the file of {setting}");
    let Some(given) = headers.get(header) else {
        return Err(unauthorized(format!("there is no {header} header"), remedy));
    };
    let mut digest = [0; 32];
    let decoded = given
        .strip_prefix("sha256=")
        .is_some_and(|text| hex::decode_to_slice(text, &mut digest).is_ok());
    if !decoded {
        return Err(unauthorized(
            format!("{header} is not sha256= and 64 hexadecimal digits"),
            remedy,
        ));
    }
    // HMAC takes a key of any length.
    let right = Hmac::<Sha256>::new_from_slice(key)
        .is_ok_and(|mac| mac.chain_update(body).verify_slice(&digest).is_ok());
    if right {
        Ok(())
    } else {
        Err(unauthorized(
            format!("{header} does not sign this body"),
            remedy,
        ))
    }
}

fn unauthorized(error: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Unauthorized, error, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &str, value: &str) -> Headers {
        [(name, value)].into_iter().collect()
    }

    #[test]
    fn githubs_own_test_vector_verifies() {
        let signed = |value: &str, key: &[u8], body: &[u8]| {
            let headers = headers("X-Hub-Signature-256", value);
            signature(&headers, "x-hub-signature-256", "x", key, body).is_ok()
        };
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        let key = b"It's a Secret to Everybody";
        assert!(signed(right, key, b"Hello, World!"));
        assert!(signed(&right.replace('e', "E"), key, b"Hello, World!"));
        assert!(!signed(right, key, b"Hello, World?"));
        assert!(!signed(right, b"It's a secret", b"Hello, World!"));
        for bad in [
            "",
            "sha256=",
            "sha1=757107ea0eb2509fc211221cce984b8a37570b6d",
            &right[..70],
            &format!("{right}00"),
            &right.replace("75", "7g"),
            &right.replace("75", "é"),
        ] {
            assert!(!signed(bad, key, b"Hello, World!"), "{bad}");
        }
    }

    #[test]
    fn only_the_whole_token_opens() {
        let shown = |value: &str| bearer(&headers("Authorization", value), b"t0ken").is_ok();
        assert!(shown("Bearer t0ken"));
        assert!(shown("bearer  t0ken"));
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer t0ke",
            "Bearer t0kenn",
            "Basic t0ken",
            "t0ken",
        ] {
            assert!(!shown(bad), "{bad}");
        }
        assert!(bearer(&Headers::default(), b"t0ken").is_err());
    }
}

//! What both ends need of an X.509 certificate to learn an authority (`--bootstrap-ca-cert`).

/// The certificate as PEM (RFC 7468).
pub(crate) fn to_pem(der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    // 48 bytes make a line of 64 characters.
    for line in der.chunks(48) {
        for three in line.chunks(3) {
            let mut bits = [0; 3];
            bits[..three.len()].copy_from_slice(three);
            let bits = u32::from_be_bytes([0, bits[0], bits[1], bits[2]]);
            for at in 0..4 {
                let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
                text.push(if at <= three.len() { digit as char } else { '=' });
            }
        }
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

/// One element of DER: tag, contents, and what comes after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let bytes = usize::from(first & 0x7f);
        if bytes == 0 || bytes > 4 || rest.len() < bytes {
            return None;
        }
        length = rest[..bytes].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        rest = &rest[bytes..];
    }
    (length <= rest.len()).then(|| (tag, &rest[..length], &rest[length..]))
}

/// True if a certificate (X.509, RFC 5280 section 4.1) names the same issuer and subject.
pub(crate) fn is_self_issued(der: &[u8]) -> bool {
    let names = || {
        let (_, certificate, _) = element(der)?;
        let (_, mut rest, _) = element(certificate)?;
        // Version (0xa0, may be missing), serial number, algorithm; issuer; validity; subject.
        let mut fields = Vec::new();
        while fields.len() < 5 {
            let (tag, contents, after) = element(rest)?;
            if tag != 0xa0 {
                fields.push(contents);
            }
            rest = after;
        }
        Some((fields[2], fields[4]))
    };
    names().is_some_and(|(issuer, subject)| issuer == subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_der_is_not_self_issued() {
        for der in [&[][..], &[0x30], &[0x30, 0x82], &[0x30, 0x03, 0x30, 0x01, 0x02], &[0x30; 64]] {
            assert!(!is_self_issued(der));
        }
    }

    #[test]
    fn pem() {
        let text = to_pem(b"foob");
        assert_eq!(text, "-----BEGIN CERTIFICATE-----\nZm9vYg==\n-----END CERTIFICATE-----\n");
    }
}

//! `--ssl-protocols`, `--ssl-ciphers`, `--ssl-ciphersuites`: the words of OpenSSL (`ciphers(1)`)
//! for what the library has.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, cipher_suite as suite};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

/// Versions, ciphers of TLS 1.2 and suites of TLS 1.3 that are enabled, as the options say it;
/// `None` and what cannot be understood mean the default: everything that the library has, which
/// is nothing that is known to be weak.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enabled {
    /// `--ssl-protocols`: `TLSv1.2`, `TLSv1.3`, a list with commas or spaces, a range with `-` or a
    /// version with `+`; as upstream, all between the lowest and the highest.
    pub protocols: Option<String>,
    /// `--ssl-ciphers`: an OpenSSL cipher list for TLS 1.2.
    pub ciphers: Option<String>,
    /// `--ssl-ciphersuites`: names with colons between them, for TLS 1.3.
    pub ciphersuites: Option<String>,
}

const PROTOCOLS: [(&str, &SupportedProtocolVersion); 2] =
    [("TLSv1.2", &TLS12), ("TLSv1.3", &TLS13)];

/// A cipher of TLS 1.2 by OpenSSL's name, and the words that choose it.
struct Cipher {
    name: &'static str,
    suite: SupportedCipherSuite,
    words: &'static [&'static str],
}

/// Words for all of [`CIPHERS`].
const EVERY: &[&str] =
    &["DEFAULT", "ALL", "HIGH", "TLSv1.2", "ECDHE", "EECDH", "kECDHE", "kEECDH", "ECDH", "FIPS"];

/// In OpenSSL's order.
const CIPHERS: [Cipher; 6] = [
    Cipher {
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        suite: suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        words: &["aECDSA", "ECDSA", "AESGCM", "AES", "AES256"],
    },
    Cipher {
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        suite: suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        words: &["aRSA", "AESGCM", "AES", "AES256"],
    },
    Cipher {
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        suite: suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        words: &["aECDSA", "ECDSA", "CHACHA20"],
    },
    Cipher {
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        suite: suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        words: &["aRSA", "CHACHA20"],
    },
    Cipher {
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        suite: suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        words: &["aECDSA", "ECDSA", "AESGCM", "AES", "AES128"],
    },
    Cipher {
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        suite: suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        words: &["aRSA", "AESGCM", "AES", "AES128"],
    },
];

/// Words of `ciphers(1)` for what the library does not have: they choose nothing, and to exclude
/// it is no mistake.
const ABSENT: &[&str] = &[
    "3DES",
    "ADH",
    "AECDH",
    "AESCCM",
    "AESCCM8",
    "ARIA",
    "ARIA128",
    "ARIA256",
    "ARIAGCM",
    "CAMELLIA",
    "CAMELLIA128",
    "CAMELLIA256",
    "CBC",
    "COMPLEMENTOFALL",
    "COMPLEMENTOFDEFAULT",
    "DES",
    "DH",
    "DHE",
    "DSS",
    "EDH",
    "EXP",
    "EXPORT",
    "GOST",
    "IDEA",
    "LOW",
    "MD5",
    "MEDIUM",
    "NULL",
    "PSK",
    "RC2",
    "RC4",
    "RSA",
    "SEED",
    "SHA",
    "SHA1",
    "SHA256",
    "SHA384",
    "SRP",
    "SSLv3",
    "TLSv1",
    "TLSv1.0",
    "aDH",
    "aDSS",
    "aNULL",
    "aPSK",
    "eNULL",
    "kDHE",
    "kDHEPSK",
    "kECDHEPSK",
    "kEDH",
    "kPSK",
    "kRSA",
    "kRSAPSK",
    "kSRP",
];

const SUITES: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
];

impl Cipher {
    /// True if all of the words, which have `+` between them, choose it.
    fn is(&self, words: &str) -> bool {
        words
            .split('+')
            .all(|word| word == self.name || self.words.contains(&word) || EVERY.contains(&word))
    }
}

/// True for a word that `ciphers(1)` has, or a name in OpenSSL's form.
fn is_word(word: &str) -> bool {
    EVERY.contains(&word)
        || ABSENT.contains(&word)
        || CIPHERS.iter().any(|cipher| cipher.name == word || cipher.words.contains(&word))
}

type Versions = Vec<&'static SupportedProtocolVersion>;

impl Enabled {
    /// What of it cannot be understood, a line for each, with what is accepted: to be logged as
    /// warnings.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        self.resolve(&mut problems);
        problems
    }

    /// The library's algorithms and versions.
    pub(crate) fn provider(&self) -> (Arc<CryptoProvider>, Versions) {
        let (suites, versions) = self.resolve(&mut Vec::new());
        let provider = CryptoProvider { cipher_suites: suites, ..ring::default_provider() };
        (Arc::new(provider), versions)
    }

    fn resolve(&self, problems: &mut Vec<String>) -> (Vec<SupportedCipherSuite>, Versions) {
        let versions = self.protocols.as_deref().and_then(|text| protocols(text, problems));
        let ciphers = self.ciphers.as_deref().and_then(|text| ciphers(text, problems));
        let suites = self.ciphersuites.as_deref().and_then(|text| suites(text, problems));
        let all = || CIPHERS.iter().map(|cipher| cipher.suite).collect();
        let mut chosen = suites.unwrap_or_else(|| SUITES.map(|(_, suite)| suite).to_vec());
        chosen.extend(ciphers.unwrap_or_else(all));
        (chosen, versions.unwrap_or_else(|| vec![&TLS13, &TLS12]))
    }
}

fn protocols(text: &str, problems: &mut Vec<String>) -> Option<Versions> {
    let (words, to_last): (Vec<&str>, bool) = match (text.strip_suffix('+'), text.split_once('-')) {
        (Some(word), _) => (vec![word], true),
        (None, Some((from, to))) => (vec![from, to], false),
        (None, None) => {
            (text.split([' ', ',', '\t']).filter(|word| !word.is_empty()).collect(), false)
        }
    };
    let mut places = Vec::new();
    for word in &words {
        match PROTOCOLS.iter().position(|(name, _)| name == word) {
            Some(place) => places.push(place),
            None => problems.push(format!(
                "--ssl-protocols={text}: {word}: SSL/TLS protocol not recognized; accepted are \
                 TLSv1.2 and TLSv1.3, a list of them, a range such as TLSv1.2-TLSv1.3, or one with \
                 + after it"
            )),
        }
    }
    if words.is_empty() {
        problems.push(format!("--ssl-protocols={text}: SSL/TLS protocol settings invalid"));
    }
    if places.len() < words.len() {
        return None;
    }
    let (first, last) = (*places.iter().min()?, *places.iter().max()?);
    let last = if to_last { PROTOCOLS.len() - 1 } else { last };
    Some(PROTOCOLS[first..=last].iter().rev().map(|(_, version)| *version).collect())
}

fn ciphers(text: &str, problems: &mut Vec<String>) -> Option<Vec<SupportedCipherSuite>> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut killed: Vec<usize> = Vec::new();
    for entry in text.split([':', ',', ' ', ';']).filter(|entry| !entry.is_empty()) {
        if entry.starts_with('@') {
            // STRENGTH and SECLEVEL=0 to 2: these are of one strength, and of level 2 or more.
            continue;
        }
        let (sign, words) = match entry.split_at(1) {
            (sign @ ("!" | "-" | "+"), words) => (sign, words),
            _ => ("", entry),
        };
        let unknown: Vec<&str> = words.split('+').filter(|word| !is_word(word)).collect();
        if let (Some(word), "" | "+") = (unknown.first(), sign) {
            let names = CIPHERS.map(|cipher| cipher.name).join(", ");
            problems.push(format!(
                "--ssl-ciphers={text}: {word}: not supported; there are {names}, and the words of \
                 ciphers(1)"
            ));
        }
        let these = (0..CIPHERS.len()).filter(|at| CIPHERS[*at].is(words)).collect::<Vec<_>>();
        match sign {
            "!" => killed.extend(these.iter().copied()),
            "+" => chosen.sort_by_key(|at| these.contains(at)),
            _ => {}
        }
        match sign {
            "" => {
                for at in these {
                    if !chosen.contains(&at) && !killed.contains(&at) {
                        chosen.push(at);
                    }
                }
            }
            "+" => {}
            _ => chosen.retain(|at| !these.contains(at)),
        }
    }
    if chosen.is_empty() {
        problems.push(format!("--ssl-ciphers={text}: nothing is left; the default is used"));
        return None;
    }
    Some(chosen.into_iter().map(|at| CIPHERS[at].suite).collect())
}

fn suites(text: &str, problems: &mut Vec<String>) -> Option<Vec<SupportedCipherSuite>> {
    let mut chosen = Vec::new();
    for name in text.split(':').filter(|name| !name.is_empty()) {
        match SUITES.iter().find(|(known, _)| *known == name) {
            Some((_, suite)) if chosen.contains(suite) => {}
            Some((_, suite)) => chosen.push(*suite),
            None => problems.push(format!(
                "--ssl-ciphersuites={text}: {name}: not supported; accepted are {}",
                SUITES.map(|(name, _)| name).join(", ")
            )),
        }
    }
    if chosen.is_empty() {
        problems.push(format!("--ssl-ciphersuites={text}: nothing is left; the default is used"));
        return None;
    }
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use rustls::ProtocolVersion;

    use super::*;

    fn enabled(protocols: &str, ciphers: &str, suites: &str) -> Enabled {
        let option = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Enabled {
            protocols: option(protocols),
            ciphers: option(ciphers),
            ciphersuites: option(suites),
        }
    }

    /// As upstream's tests have them.
    #[test]
    fn protocols_are_lists_and_ranges() {
        let (old, new) = (ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3);
        for (text, versions) in [
            ("TLSv1.2", &[old][..]),
            ("TLSv1.3", &[new]),
            ("TLSv1.2,TLSv1.3", &[new, old]),
            ("TLSv1.3 TLSv1.2", &[new, old]),
            ("TLSv1.2-TLSv1.3", &[new, old]),
            ("TLSv1.3-TLSv1.2", &[new, old]),
            ("TLSv1.2+", &[new, old]),
            ("TLSv1.3+", &[new]),
        ] {
            let enabled = enabled(text, "", "");
            let found: Vec<_> = enabled.provider().1.iter().map(|v| v.version).collect();
            assert_eq!(found, versions, "{text}");
            assert_eq!(enabled.problems(), [""; 0], "{text}");
        }
        for text in ["TLSv1.2-TLSv1.3,TLSv1.3+", "TLSv1.2+TLSv1.3", "TLSv1+", "TLSv1.1", "x-"] {
            let enabled = enabled(text, "", "");
            assert!(enabled.problems()[0].contains("SSL/TLS protocol not recognized"), "{text}");
            assert_eq!(enabled.provider().1.len(), 2, "the default");
        }
        assert!(enabled(",", "", "").problems()[0].contains("settings invalid"));
    }

    fn names(ciphers: &str) -> Vec<&'static str> {
        let (provider, _) = enabled("", ciphers, "").provider();
        let name = |suite| CIPHERS.iter().find(|c| c.suite == suite).map(|c| c.name);
        provider.cipher_suites.iter().filter_map(|suite| name(*suite)).collect()
    }

    #[test]
    fn ciphers_as_openssl_lists_them() {
        let all = CIPHERS.map(|cipher| cipher.name);
        assert_eq!(names(""), all);
        assert_eq!(names("DEFAULT:@SECLEVEL=2"), all);
        assert_eq!(names("HIGH:!aNULL:!MD5"), all);
        assert_eq!(names("DEFAULT:@SECLEVEL=2:!ECDHE-ECDSA-AES256-GCM-SHA384"), all[1..]);
        assert_eq!(names("ECDHE+AESGCM:!aRSA"), [all[0], all[4]]);
        assert_eq!(names("CHACHA20:aRSA"), [all[2], all[3], all[1], all[5]]);
        assert_eq!(names("ALL:-AES:AES128+aRSA"), [all[2], all[3], all[5]]);
        assert_eq!(names("aRSA:+AES256"), [all[3], all[5], all[1]]);
        // What is excluded for good does not come back.
        assert_eq!(names("!CHACHA20:ALL").len(), 4);
        // Nothing is left: the default, and a word about it.
        assert_eq!(names("DHE"), all);
        assert!(enabled("", "DHE", "").problems()[0].contains("nothing is left"));
        let problems = enabled("", "DHE-RSA-AES256-GCM-SHA384:AESGCM", "").problems();
        assert!(problems.len() == 1 && problems[0].contains("there are ECDHE-ECDSA-AES256"));
        assert_eq!(enabled("", "ALL:!DHE-RSA-AES256-SHA", "").problems(), [""; 0]);
    }

    #[test]
    fn suites_by_name() {
        let chosen = |text: &str| enabled("", "", text).resolve(&mut Vec::new()).0.len() - 6;
        assert_eq!(chosen("TLS_CHACHA20_POLY1305_SHA256"), 1);
        assert_eq!(chosen("TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"), 2);
        assert_eq!(chosen("TLS_AES_128_CCM_SHA256"), 3);
        let problems = enabled("", "", "TLS_AES_128_CCM_SHA256").problems();
        assert!(problems[0].contains("accepted are TLS_AES_256_GCM_SHA384, "), "{problems:?}");
    }
}

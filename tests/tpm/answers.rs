//! Something between the attester and the TPM that spoils one answer: no panic, no evidence that is not whole, a sentence.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keygate::attester::AttesterError;
use keygate::attester::tpm::TpmError;

use crate::quoted::{attester, bytes, document, signed_by, wanted};
use crate::tpm_stage::{SoftTpm, read_frame};

/// How an answer is spoilt.
type Spoil = fn(Vec<u8>) -> Vec<u8>;

fn with_size(mut bytes: Vec<u8>, size: usize) -> Vec<u8> {
    bytes[2..6].copy_from_slice(&u32::try_from(size).unwrap().to_be_bytes());
    bytes
}

const SPOILS: &[(&str, Spoil)] = &[
    ("a byte less", |mut bytes| {
        // Of a header alone nothing is taken: what is shorter is waited for.
        bytes.truncate(10.max(bytes.len() - 1));
        let size = bytes.len();
        with_size(bytes, size)
    }),
    ("a byte more", |mut bytes| {
        bytes.push(0);
        let size = bytes.len();
        with_size(bytes, size)
    }),
    ("half", |mut bytes| {
        bytes.truncate(10 + (bytes.len() - 10) / 2);
        let size = bytes.len();
        with_size(bytes, size)
    }),
    ("the header alone", |bytes| with_size(bytes[..10].to_vec(), 10)),
    ("a size without bounds", |bytes| with_size(bytes, 0x7fff_ffff)),
    ("a size below the header", |bytes| with_size(bytes, 9)),
    ("another tag", |mut bytes| {
        bytes[1] ^= 3;
        bytes
    }),
    ("a refusal", |_| vec![0x80, 1, 0, 0, 0, 10, 0, 0, 9, 2]),
    ("all ones behind the header", |mut bytes| {
        bytes[10..].fill(0xff);
        bytes
    }),
    ("nothing", |_| Vec::new()),
];

/// A relay in front of the TPM that spoils the answer of this number.
struct Relay {
    port: u16,
    answers: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Relay {
    fn spoiling(tpm: u16, number: usize, spoil: Spoil) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answers, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ended) = (Arc::clone(&answers), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let mut near = stream.unwrap();
                let mut far: Option<TcpStream> = None;
                while let Some(command) = read_frame(&mut near) {
                    let far = far.get_or_insert_with(|| TcpStream::connect(("127.0.0.1", tpm)).unwrap());
                    far.write_all(&command).unwrap();
                    let answer = read_frame(far).unwrap();
                    let answer = if count.fetch_add(1, Ordering::SeqCst) == number { spoil(answer) } else { answer };
                    if answer.is_empty() || near.write_all(&answer).is_err() {
                        let _ = near.shutdown(Shutdown::Both);
                        break;
                    }
                }
            }
        });
        Self { port, answers, over, thread: Some(thread) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

#[test]
fn a_spoilt_answer_gives_a_sentence_and_never_half_a_document() {
    let Some(tpm) = SoftTpm::start() else { return };
    let through = |relay: &Relay| {
        let address = format!("swtpm:host=127.0.0.1,port={}", relay.port);
        attester(&tpm, |options| {
            options.address = Some(address);
            options.registers = Some("sha256:0,1,2,3,4,5,6,7,8,9".to_owned());
        })
    };
    attester(&tpm, |_| {}).evidence(&wanted()).unwrap();
    let whole = Relay::spoiling(tpm.port(), usize::MAX, |answer| answer);
    through(&whole).evidence(&wanted()).unwrap();
    let count = whole.answers.load(Ordering::SeqCst);
    drop(whole);
    assert!(count >= 8, "banks, two reads of registers, primary, load, quote, flushes: {count}");

    for number in 0..count {
        for (name, spoil) in SPOILS {
            let relay = Relay::spoiling(tpm.port(), number, *spoil);
            match through(&relay).evidence(&wanted()) {
                // The answers to flushes change nothing in what was taken before.
                Ok(evidence) => {
                    let document = document(&evidence);
                    let of = |name: &str| bytes(&document[name]);
                    assert!(signed_by(&of("ak"), &of("quote"), &of("signature")), "{name} of answer {number}");
                }
                Err(AttesterError::Tpm(error)) => {
                    let told = error.to_string();
                    assert!(told.contains("the TPM at `swtpm:") || told.contains("what `swtpm:"), "{name}: {told}");
                    assert!(!error.help().is_empty());
                }
                Err(other) => panic!("{name} of answer {number}: {other}"),
            }
            drop(relay);
            // What an object's spoilt birth leaves behind, nobody can flush who was not told its handle.
            tpm.flush();
        }
    }
}

#[test]
fn a_tpm_that_is_busy_is_asked_again_and_not_for_ever() {
    let Some(tpm) = SoftTpm::start() else { return };
    attester(&tpm, |_| {}).evidence(&wanted()).unwrap();
    let busy: Spoil = |_| vec![0x80, 1, 0, 0, 0, 10, 0, 0, 9, 0x22];
    let through =
        |port: u16| attester(&tpm, |options| options.address = Some(format!("swtpm:host=127.0.0.1,port={port}")));
    // The first answer is the banks': asked once more.
    let once = Relay::spoiling(tpm.port(), 0, busy);
    through(once.port).evidence(&wanted()).unwrap();
    drop(once);

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = std::thread::spawn(move || {
        let mut asked = 0;
        // The first connection is the look whether anything is there.
        let (_look, _) = listener.accept().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        while read_frame(&mut stream).is_some() {
            asked += 1;
            stream.write_all(&[0x80, 1, 0, 0, 0, 10, 0, 0, 9, 0x22]).unwrap();
        }
        asked
    });
    let refused = through(port).evidence(&wanted()).unwrap_err();
    assert!(matches!(refused, AttesterError::Tpm(TpmError::Refused { code: 0x922, .. })), "{refused}");
    assert!(refused.to_string().contains("it stayed busy"), "{refused}");
    assert_eq!(asked.join().unwrap(), 8);
}

#[test]
fn the_simulators_framing_is_spoken_and_its_answers_are_bounded() {
    let Some(tpm) = SoftTpm::start() else { return };
    attester(&tpm, |_| {}).evidence(&wanted()).unwrap();
    let through = |answer_size: Option<u32>| {
        let port = simulator(tpm.port(), answer_size);
        attester(&tpm, |options| options.address = Some(format!("mssim:host=127.0.0.1,port={port}")))
    };
    let evidence = document(&through(None).evidence(&wanted()).unwrap());
    let of = |name: &str| bytes(&evidence[name]);
    assert!(signed_by(&of("ak"), &of("quote"), &of("signature")));
    for size in [9, 4_097, u32::MAX] {
        let refused = through(Some(size)).evidence(&wanted()).unwrap_err();
        assert!(refused.to_string().contains("out of bounds"), "{size}: {refused}");
    }
}

/// Takes commands in the simulator's frames, passes on what is inside, and frames the answers, with this size where one is given.
fn simulator(tpm: u16, answer_size: Option<u32>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut near = stream.unwrap();
            let mut far: Option<TcpStream> = None;
            let mut head = [0; 9];
            while near.read_exact(&mut head).is_ok() {
                assert_eq!(head[..5], [0, 0, 0, 8, 0], "TPM_SEND_COMMAND at locality 0");
                let command = read_frame(&mut near).unwrap();
                assert_eq!(head[5..], u32::try_from(command.len()).unwrap().to_be_bytes());
                let far = far.get_or_insert_with(|| TcpStream::connect(("127.0.0.1", tpm)).unwrap());
                far.write_all(&command).unwrap();
                let answer = read_frame(far).unwrap();
                let size = answer_size.unwrap_or(u32::try_from(answer.len()).unwrap());
                if near.write_all(&[&size.to_be_bytes()[..], &answer, &[0; 4]].concat()).is_err() {
                    break;
                }
            }
        }
    });
    port
}

//! The extensions of a VCEK or VLEK certificate under 1.3.6.1.4.1.3704.1.
//! AMD 57230 section 3: structure version, product, component versions, hardware identifier, provider.

use super::{Amd, Product, SigningKey, SnpFault, Tcb, fault};
use crate::der;
use crate::x509::Extension;

const ARC: &str = "1.3.6.1.4.1.3704.1";

impl Amd {
    pub(super) fn vek_extensions(&self, signer: SigningKey, tcb: Tcb, fault: Option<SnpFault>) -> Vec<Extension> {
        let mut tcb = match fault {
            Some(SnpFault::OtherTcbLayout) => fault::flat_tcb(),
            _ => tcb,
        };
        match fault {
            Some(SnpFault::VcekTcbLower) => tcb.bootloader -= 1,
            Some(SnpFault::VcekTcbHigher) => tcb.microcode += 1,
            _ => {}
        }
        let named = match fault {
            Some(SnpFault::VlekOfOtherProduct | SnpFault::VcekOtherProductName | SnpFault::ChainOfOtherProduct) => {
                self.product.other()
            }
            _ => self.product,
        };
        let turin = self.product == Product::Turin;
        let mut out =
            vec![plain("1", der::integer(u64::from(turin))), plain("2", der::ia5(&product_name(named, signer)))];
        if turin {
            out.push(spl(9, tcb.fmc));
        }
        out.push(spl(1, tcb.bootloader));
        out.push(spl(2, tcb.tee));
        if turin {
            out.push(spl(3, tcb.snp));
        } else {
            out.push(spl(4, 0));
        }
        out.extend([spl(5, 0), spl(6, 0), spl(7, 0)]);
        if !turin {
            out.push(spl(3, tcb.snp));
        }
        out.push(spl(8, tcb.microcode));
        match signer {
            SigningKey::Vcek => out.push(plain("4", self.hwid(fault))),
            SigningKey::Vlek => out.push(plain("5", der::ia5("CN=cc-forge.example"))),
        }
        break_extensions(&mut out, fault);
        out
    }

    fn hwid(&self, fault: Option<SnpFault>) -> Vec<u8> {
        let length = self.product.hwid_length();
        let mut hwid = self.chip_id.to_vec();
        hwid.resize(length, 0);
        match fault {
            Some(SnpFault::OtherChip) => hwid[0] ^= 1,
            Some(SnpFault::VcekShortHwid) => hwid.truncate(length - 1),
            Some(SnpFault::VcekLongHwid) => hwid.push(0),
            Some(SnpFault::VcekForeignHwidLength) => hwid.resize(72 - length, 0),
            _ => {}
        }
        hwid
    }
}

fn break_extensions(out: &mut Vec<Extension>, fault: Option<SnpFault>) {
    let oid = |tail: &str| format!("{ARC}.{tail}");
    let microcode = |content: &[u8]| plain("3.8", der::raw_integer(content));
    match fault {
        Some(SnpFault::VcekMissingSpl) => out.retain(|e| e.oid != oid("3.1")),
        Some(SnpFault::VcekMissingHwid) => out.retain(|e| e.oid != oid("4")),
        Some(SnpFault::VcekDuplicateSpl) => {
            let twin = out.iter().find(|e| e.oid == oid("3.8")).unwrap().clone();
            out.push(twin);
        }
        Some(SnpFault::VcekSplTooLarge) => {
            out.retain(|e| e.oid != oid("3.8"));
            out.push(microcode(&[1, 0]));
        }
        Some(SnpFault::VcekSplNegative) => {
            out.retain(|e| e.oid != oid("3.8"));
            out.push(microcode(&[0xdb]));
        }
        _ => {}
    }
}

fn plain(tail: &str, value: Vec<u8>) -> Extension {
    Extension::new(&format!("{ARC}.{tail}"), false, value)
}

fn spl(number: u8, value: u8) -> Extension {
    plain(&format!("3.{number}"), der::integer(value.into()))
}

/// The product name of a chip's certificate; Milan's VCEKs carry the stepping.
fn product_name(product: Product, signer: SigningKey) -> String {
    match (product, signer) {
        (Product::Milan, SigningKey::Vcek) => "Milan-B0".to_owned(),
        _ => product.name().to_owned(),
    }
}

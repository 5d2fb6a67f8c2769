//! The few BPF instructions that the stopwatch is written in. It knows their encoding, and nothing of what they do
//! together.

/// A register: `R0` returns, `R1` to `R5` are arguments, `R6` to `R9` survive a call, `R10` is the stack's end.
#[derive(Clone, Copy)]
pub(super) struct Reg(u8);

pub(super) const R0: Reg = Reg(0);
pub(super) const R1: Reg = Reg(1);
pub(super) const R2: Reg = Reg(2);
pub(super) const R3: Reg = Reg(3);
pub(super) const R6: Reg = Reg(6);
pub(super) const R7: Reg = Reg(7);
pub(super) const R8: Reg = Reg(8);
pub(super) const R9: Reg = Reg(9);
pub(super) const R10: Reg = Reg(10);

/// A helper of the kernel, by its number.
#[derive(Clone, Copy)]
#[repr(i32)]
pub(super) enum Helper {
    KtimeGetNs = 5,
    GetCurrentPidTgid = 14,
    ProbeReadKernel = 113,
}

/// A program in the making; every jump in it leads to its end, where it returns 0.
#[derive(Default)]
pub(super) struct Code {
    words: Vec<u64>,
    jumps: Vec<usize>,
}

const MOV: u8 = 0xb7;
const ADD: u8 = 0x07;
const SUB_REG: u8 = 0x1f;
const OR_REG: u8 = 0x4f;
const AND: u8 = 0x57;
const SHIFT_LEFT: u8 = 0x67;
const SHIFT_RIGHT: u8 = 0x77;
const ADD_REG: u8 = 0x0f;
const MOV_REG: u8 = 0xbf;
const LOAD: u8 = 0x79;
const LOAD_U16: u8 = 0x69;
const STORE: u8 = 0x7b;
const JUMP_EQUAL: u8 = 0x15;
const JUMP_NOT_EQUAL: u8 = 0x55;
const JUMP_NOT_EQUAL_REG: u8 = 0x5d;
const JUMP_GREATER: u8 = 0x25;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const LOAD_IMM64: u8 = 0x18;
/// The source of a 64-bit constant that stands for the address of a map's value.
const MAP_VALUE: Reg = Reg(2);

// === impl Code ===

impl Code {
    pub(super) fn set(&mut self, to: Reg, value: i32) {
        self.push(MOV, to, R0, 0, value);
    }

    pub(super) fn copy(&mut self, to: Reg, from: Reg) {
        self.push(MOV_REG, to, from, 0, 0);
    }

    pub(super) fn add(&mut self, to: Reg, value: i32) {
        self.push(ADD, to, R0, 0, value);
    }

    pub(super) fn add_reg(&mut self, to: Reg, from: Reg) {
        self.push(ADD_REG, to, from, 0, 0);
    }

    pub(super) fn sub_reg(&mut self, to: Reg, from: Reg) {
        self.push(SUB_REG, to, from, 0, 0);
    }

    pub(super) fn or_reg(&mut self, to: Reg, from: Reg) {
        self.push(OR_REG, to, from, 0, 0);
    }

    pub(super) fn and(&mut self, to: Reg, value: i32) {
        self.push(AND, to, R0, 0, value);
    }

    pub(super) fn shift_left(&mut self, to: Reg, bits: i32) {
        self.push(SHIFT_LEFT, to, R0, 0, bits);
    }

    pub(super) fn shift_right(&mut self, to: Reg, bits: i32) {
        self.push(SHIFT_RIGHT, to, R0, 0, bits);
    }

    pub(super) fn load(&mut self, to: Reg, base: Reg, offset: i16) {
        self.push(LOAD, to, base, offset, 0);
    }

    pub(super) fn load_u16(&mut self, to: Reg, base: Reg, offset: i16) {
        self.push(LOAD_U16, to, base, offset, 0);
    }

    pub(super) fn store(&mut self, base: Reg, offset: i16, from: Reg) {
        self.push(STORE, base, from, offset, 0);
    }

    /// The address of the only value of the array map behind this descriptor.
    pub(super) fn map_value(&mut self, to: Reg, map: i32) {
        self.push(LOAD_IMM64, to, MAP_VALUE, 0, map);
        self.words.push(0);
    }

    pub(super) fn call(&mut self, helper: Helper) {
        self.push(CALL, R0, R0, 0, helper as i32);
    }

    /// Sets the register to 1 if `of` has this value, else to 0.
    pub(super) fn set_if(&mut self, to: Reg, of: Reg, value: i32) {
        self.set(to, 1);
        self.push(JUMP_EQUAL, of, R0, 1, value);
        self.set(to, 0);
    }

    pub(super) fn end_unless(&mut self, of: Reg, value: i32) {
        self.end_if(JUMP_NOT_EQUAL, of, R0, value);
    }

    pub(super) fn end_unless_reg(&mut self, of: Reg, other: Reg) {
        self.end_if(JUMP_NOT_EQUAL_REG, of, other, 0);
    }

    pub(super) fn end_if_above(&mut self, of: Reg, value: i32) {
        self.end_if(JUMP_GREATER, of, R0, value);
    }

    /// The program: returns 0 at its end.
    pub(super) fn finish(mut self) -> Vec<u64> {
        let end = self.words.len();
        self.set(R0, 0);
        self.push(EXIT, R0, R0, 0, 0);
        for at in self.jumps {
            // A jump counts from the instruction behind it; these programs are some tens long.
            let distance = (end - at - 1) as u64;
            self.words[at] |= distance << 16;
        }
        self.words
    }

    fn end_if(&mut self, code: u8, of: Reg, other: Reg, value: i32) {
        self.jumps.push(self.words.len());
        self.push(code, of, other, 0, value);
    }

    fn push(&mut self, code: u8, to: Reg, from: Reg, offset: i16, value: i32) {
        self.words.push(
            u64::from(code)
                | u64::from(to.0) << 8
                | u64::from(from.0) << 12
                | u64::from(offset.cast_unsigned()) << 16
                | u64::from(value.cast_unsigned()) << 32,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_the_kernel_reads() {
        let mut code = Code::default();
        code.load(R7, R6, 8);
        code.store(R10, -8, R7);
        code.set(R2, -1);
        assert_eq!(
            code.finish(),
            [
                0x0000_0000_0008_6779,
                0x0000_0000_fff8_7a7b,
                0xffff_ffff_0000_02b7,
                0xb7,
                0x95
            ]
        );
    }

    #[test]
    fn jumps_lead_to_the_end() {
        let mut code = Code::default();
        code.end_unless(R1, 5);
        code.set(R2, 0);
        let words = code.finish();
        // Over the one instruction between, to the return.
        assert_eq!(words[0], 0x0000_0005_0001_0155);
        assert_eq!(words[2..], [0xb7, 0x95]);
    }
}

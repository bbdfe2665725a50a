// Names of what translated code refers to outside of itself: stubs, constants, the state. For whoever reads host code.

import CHost
import X86

extension CodeStubs {
    /// The stub or constant at an executable address.
    package func name(of address: UInt64) -> String? {
        let stubs: [(UInt64, String)] = [
            (exit, "leave"), (faultExit, "faulted"), (lookup, "lookup"), (indirectMiss, "not-in-table"), (returnMiss, "mispredicted"),
            (interpretOne, "interpret-one"), (callInterrupted, "call-interrupted"), (callHelper, "call-helper"),
        ]
        if let stub = stubs.first(where: { $0.0 == address }) { return stub.1 }
        let names: [(Constant, String)] = [
            (.canonicalDouble, "canonical-nan-f64"), (.canonicalSingle, "canonical-nan-f32"), (.signDouble, "sign-f64"),
            (.signSingle, "sign-f32"), (.absoluteDouble, "absolute-f64"), (.absoluteSingle, "absolute-f32"), (.boxMask, "box-mask"),
            (.zero, "zero"),
        ]
        return names.first { self.address($0.0) == address }?.1
    }

    /// Whether a call goes to a helper whose address is in rax.
    package func callsHelper(_ target: UInt64) -> Bool { target == callHelper }
}

extension RegisterMap {
    /// The place that `rbp` plus `displacement` is: the header's field; nil for the guest's own state.
    package static func headerName(displacement: Int) -> String? {
        let offset = displacement + Int(MYNAH_STATE_BIAS) + Int(MYNAH_CPU_HEADER_BYTES)
        let fields: [(PartialKeyPath<mynah_cpu>, String)] = [
            (\.ticks, "ticks"), (\.interrupt_pending, "interrupt"), (\.jump_table, "jump-table"), (\.guest_mxcsr, "mxcsr"),
            (\.return_stack, "return-stack"), (\.helper_scratch, "scratch"),
        ]
        for (field, name) in fields where MemoryLayout<mynah_cpu>.offset(of: field) == offset { return name }
        let spills = Int(spillOffset) + Int(MYNAH_CPU_HEADER_BYTES)
        if (spills ..< spills + Int(MYNAH_SPILL_SLOTS) * 8).contains(offset) { return "spill\((offset - spills) / 8)" }
        return nil
    }

    /// Bytes behind the state pointer that `rbp` plus `displacement` is.
    package static func stateOffset(displacement: Int) -> Int { displacement + Int(MYNAH_STATE_BIAS) }

    /// The register's name as in host code.
    package static func name(of home: Home) -> String {
        home.isVector ? "xmm\(home.register)" : Register(rawValue: home.register).map { "\($0)" } ?? "?"
    }
}

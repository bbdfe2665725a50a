// What is known about places in code that came from the cache, as the cache has it: it is decoded when a fault asks.

import X86Backend

struct StoredFaultTables {
    /// See `EncodedPositions`.
    var positions: [UInt8] = []
    var deferringCode: [StoredDeferringCode] = []
    var deferredWrites: [StoredDeferredWrite] = []

    mutating func removeAll() {
        positions.removeAll(keepingCapacity: true)
        deferringCode.removeAll(keepingCapacity: true)
        deferredWrites.removeAll(keepingCapacity: true)
    }

    /// As `Engine.guestPosition` returns it, for a place in the block's code.
    func position(
        _ block: TranslatedBlock, upTo offset: UInt32
    ) -> (guest: GuestPosition, homes: [Home], deferred: ArraySlice<DeferredWrite>) {
        let address = block.key.address
        let guest = EncodedPositions.last(in: positions[block.positions], of: address, upTo: offset)
        guard let code = deferringCode[block.deferringCode].first(where: { $0.start <= offset && offset < $0.end }) else {
            return (guest, block.homes, [])
        }
        let first = block.firstStoredWrite + Int(code.firstWrite)
        let writes = deferredWrites[first ..< first + Int(code.writeCount)].compactMap { $0.write(of: address) }
        return (guest, block.homes, writes[...])
    }
}

// The device tree of the board (Devicetree Specification 0.4; Linux's bindings riscv/cpus.yaml and riscv/extensions.yaml).

import DeviceModel
import GuestRISCV

/// What the tree says beyond the devices.
package struct BoardDescription {
    package var hartCount: Int
    package var memory: Range<UInt64>
    package var bootArguments: String?
    package var initialDisk: Range<UInt64>?
    /// Bytes for the kernel's random number generator.
    package var randomSeed: [UInt8]

    package init(
        hartCount: Int, memory: Range<UInt64>, bootArguments: String? = nil, initialDisk: Range<UInt64>? = nil,
        randomSeed: [UInt8] = []
    ) {
        self.hartCount = hartCount
        self.memory = memory
        self.bootArguments = bootArguments
        self.initialDisk = initialDisk
        self.randomSeed = randomSeed
    }

    /// - Returns: the tree without devices, and the interrupt controllers of the harts.
    package func tree() -> (DeviceTree, [DeviceTreeNode]) {
        let tree = DeviceTree()
        tree.root.set("compatible", .string("riscv-virtio"))
        tree.root.set("model", .string("riscv-virtio,mynah"))
        addChosen(to: tree.root)
        let start = memory.lowerBound
        let ram = tree.root.child("memory@\(String(start, radix: 16))")
        ram.set("device_type", .string("memory"))
        ram.set("reg", .cells64([start, memory.upperBound - start]))
        let controllers = addHarts(to: tree.root)
        let soc = tree.root.child("soc")
        soc.set("#address-cells", .cell(2))
        soc.set("#size-cells", .cell(2))
        soc.set("compatible", .string("simple-bus"))
        soc.set("ranges")
        return (tree, controllers)
    }

    private func addChosen(to root: DeviceTreeNode) {
        let serial = "/soc/serial@\(String(BoardMap.serial, radix: 16))"
        root.child("aliases").set("serial0", .string(serial))
        let chosen = root.child("chosen")
        if let bootArguments { chosen.set("bootargs", .string(bootArguments)) }
        if let initialDisk {
            chosen.set("linux,initrd-start", .cells64([initialDisk.lowerBound]))
            chosen.set("linux,initrd-end", .cells64([initialDisk.upperBound]))
        }
        chosen.set("stdout-path", .string(serial))
        if !randomSeed.isEmpty { chosen.set("rng-seed", .bytes(randomSeed)) }
    }

    private func addHarts(to root: DeviceTreeNode) -> [DeviceTreeNode] {
        let cpus = root.child("cpus")
        cpus.set("#address-cells", .cell(1))
        cpus.set("#size-cells", .cell(0))
        cpus.set("timebase-frequency", .cell(UInt32(Timebase.hertz)))
        let nodes = (0..<hartCount).map { addHart($0, to: cpus) }
        let cluster = cpus.child("cpu-map").child("cluster0")
        for (index, node) in nodes.enumerated() { cluster.child("core\(index)").set("cpu", .phandle(node)) }
        return nodes.map { $0.child("interrupt-controller") }
    }

    private func addHart(_ id: Int, to cpus: DeviceTreeNode) -> DeviceTreeNode {
        let node = cpus.child("cpu@\(String(id, radix: 16))")
        node.set("device_type", .string("cpu"))
        node.set("reg", .cell(UInt32(id)))
        node.set("status", .string("okay"))
        node.set("compatible", .string("riscv"))
        node.set("riscv,isa", .string(RISCVProfile.isaString))
        node.set("riscv,isa-base", .string(RISCVProfile.baseISA))
        node.set("riscv,isa-extensions", .strings(RISCVProfile.letters + RISCVProfile.extensions))
        let block = UInt32(RISCVProfile.cacheBlockBytes)
        for kind in ["m", "p", "z"] where RISCVProfile.extensions.contains("zicbo\(kind)") {
            node.set("riscv,cbo\(kind)-block-size", .cell(block))
        }
        node.set("mmu-type", .string(RISCVProfile.translation))
        let controller = node.child("interrupt-controller")
        controller.set("#interrupt-cells", .cell(1))
        controller.set("interrupt-controller")
        controller.set("compatible", .string("riscv,cpu-intc"))
        return node
    }
}

// The description of the machine that firmware and kernels read: nodes with properties, Devicetree Specification 0.4.
// `DeviceTree+Flattened` makes the blob and reads one; `DeviceTree+Source` prints it.

/// A property's value. References to nodes become numbers when the tree is flattened.
package enum DeviceTreeValue: Equatable {
    case empty
    case cells([UInt32])
    /// Two cells each, the high one first.
    case cells64([UInt64])
    case strings([String])
    case bytes([UInt8])
    case phandle(DeviceTreeNode)
    /// Pairs of a node and a cell, as in `interrupts-extended`.
    case references([DeviceTreeReference])

    package static func string(_ text: String) -> DeviceTreeValue { .strings([text]) }
    package static func cell(_ value: UInt32) -> DeviceTreeValue { .cells([value]) }
}

package struct DeviceTreeReference: Equatable {
    package let node: DeviceTreeNode
    package let cells: [UInt32]

    package init(_ node: DeviceTreeNode, _ cells: UInt32...) {
        self.node = node
        self.cells = cells
    }
}

package final class DeviceTreeNode: Equatable {
    package let name: String
    package private(set) var properties: [(name: String, value: DeviceTreeValue)] = []
    package private(set) var children: [DeviceTreeNode] = []
    package private(set) weak var parent: DeviceTreeNode?

    package init(_ name: String) { self.name = name }

    package static func == (left: DeviceTreeNode, right: DeviceTreeNode) -> Bool { left === right }

    /// Sets or replaces a property.
    package func set(_ name: String, _ value: DeviceTreeValue = .empty) {
        if let index = properties.firstIndex(where: { $0.name == name }) {
            properties[index].value = value
        } else {
            properties.append((name, value))
        }
    }

    package func remove(_ name: String) { properties.removeAll { $0.name == name } }
    package func property(_ name: String) -> DeviceTreeValue? { properties.first { $0.name == name }?.value }

    /// The child of that name; a new one when there is none.
    package func child(_ name: String) -> DeviceTreeNode {
        if let found = children.first(where: { $0.name == name }) { return found }
        return addChild(DeviceTreeNode(name))
    }

    @discardableResult
    package func addChild(_ node: DeviceTreeNode) -> DeviceTreeNode {
        children.append(node)
        node.parent = self
        return node
    }

    /// The top of the tree that the node is in.
    package var root: DeviceTreeNode { parent?.root ?? self }

    /// Descendant by a path without a leading slash; nil when there is none. A component without `@` finds one with a unit
    /// address.
    package func find(_ path: String) -> DeviceTreeNode? {
        var node = self
        for part in path.split(separator: "/") {
            let next =
                node.children.first { $0.name == part } ?? node.children.first { $0.name.split(separator: "@").first == part }
            guard let next else { return nil }
            node = next
        }
        return node
    }
}

package final class DeviceTree {
    package let root: DeviceTreeNode
    /// Memory that the client program must not use: address and size in bytes.
    package var reservations: [(address: UInt64, byteCount: UInt64)] = []
    package var bootHart: UInt32 = 0

    /// A root with two address and two size cells.
    package init() {
        root = DeviceTreeNode("")
        root.set("#address-cells", .cell(2))
        root.set("#size-cells", .cell(2))
    }

    package init(root: DeviceTreeNode) { self.root = root }

    /// Gives each node that is referred to a `phandle`; returns the numbers.
    func assignPhandles() -> [ObjectIdentifier: UInt32] {
        var numbers: [ObjectIdentifier: UInt32] = [:], targets: [DeviceTreeNode] = [], highest: UInt32 = 0
        visit(root) { node in
            for (name, value) in node.properties {
                switch value {
                case .phandle(let target): targets.append(target)
                case .references(let list): targets.append(contentsOf: list.map(\.node))
                case .cells(let cells) where name == "phandle" && cells.count == 1:
                    numbers[ObjectIdentifier(node)] = cells[0]
                    highest = max(highest, cells[0])
                default: break
                }
            }
        }
        for target in targets where numbers[ObjectIdentifier(target)] == nil {
            highest += 1
            numbers[ObjectIdentifier(target)] = highest
            target.set("phandle", .cell(highest))
        }
        return numbers
    }

    private func visit(_ node: DeviceTreeNode, _ body: (DeviceTreeNode) -> Void) {
        body(node)
        for child in node.children { visit(child, body) }
    }
}

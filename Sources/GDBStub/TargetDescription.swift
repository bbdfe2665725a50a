// The registers of a target, in features as GDB knows them, and the XML that says so. GDB manual, appendix G.

/// One register. All threads of a target have the same ones.
package struct RegisterDescription: Sendable {
    package var name: String
    package var bitCount: Int
    /// As in the XML: `int`, `code_ptr`, `data_ptr`, `ieee_double`, or a type that the feature defines.
    package var type: String
    /// `general`, `float`, `system`… or nil for what GDB thinks.
    package var group: String?
    /// GDB puts it back after it has the target call a function.
    package var isRestored: Bool
    /// Writes of all registers pass it over.
    package var isReadOnly: Bool

    package init(
        _ name: String, bitCount: Int = 64, type: String = "int", group: String? = nil, isRestored: Bool = true,
        isReadOnly: Bool = false
    ) {
        self.name = name
        self.bitCount = bitCount
        self.type = type
        self.group = group
        self.isRestored = isRestored
        self.isReadOnly = isReadOnly
    }

    package var byteCount: Int { (bitCount + 7) / 8 }
}

/// Registers that belong together, under the name that GDB's own code looks for.
package struct RegisterFeature: Sendable {
    package var name: String
    /// Elements in front of the registers, such as unions of vector types.
    package var types: String
    package var registers: [RegisterDescription]

    package init(_ name: String, types: String = "", _ registers: [RegisterDescription]) {
        self.name = name
        self.types = types
        self.registers = registers
    }
}

/// A register's number is its place in the list of all features' registers.
package struct TargetDescription: Sendable {
    /// As GDB's `set architecture` takes it.
    package let architecture: String
    /// The system interface that GDB expects, e.g. `GNU/Linux`; nil for bare machines.
    package let system: String?
    package let features: [RegisterFeature]
    package let registers: [RegisterDescription]
    /// Numbers of the registers that every stop tells at once: program counter, stack pointer and so on.
    package let expedited: [Int]
    package let programCounter: Int

    package init(
        architecture: String, system: String? = nil, features: [RegisterFeature], programCounter: Int, expedited: [Int] = []
    ) {
        self.architecture = architecture
        self.system = system
        self.features = features
        self.programCounter = programCounter
        self.expedited = expedited
        registers = features.flatMap(\.registers)
        precondition(registers.indices.contains(programCounter) && expedited.allSatisfy(registers.indices.contains))
    }

    /// The document `target.xml`.
    package var xml: String {
        var text = "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n"
        text += "<architecture>\(xmlText(architecture))</architecture>\n"
        if let system { text += "<osabi>\(xmlText(system))</osabi>\n" }
        var number = 0
        for feature in features {
            text += "<feature name=\"\(xmlText(feature.name))\">\n" + feature.types
            for register in feature.registers {
                text +=
                    "<reg name=\"\(xmlText(register.name))\" bitsize=\"\(register.bitCount)\" type=\"\(xmlText(register.type))\""
                if let group = register.group { text += " group=\"\(xmlText(group))\"" }
                if !register.isRestored { text += " save-restore=\"no\"" }
                text += " regnum=\"\(number)\"/>\n"
                number += 1
            }
            text += "</feature>\n"
        }
        return text + "</target>\n"
    }
}

/// The text with what XML reserves replaced, and without control characters.
func xmlText(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
        switch character {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "\"": result += "&quot;"
        case "'": result += "&apos;"
        default: if character.value >= 32 && character.value != 127 { result.unicodeScalars.append(character) }
        }
    }
    return result
}

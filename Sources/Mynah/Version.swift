/// The version of Mynah, as `mynah --version` prints it.
public let mynahVersion = "0.1"

//! Turns `lane.proto` and `manifest.proto` into Rust, without a protoc on the machine; positions are those of the wire.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["lane.proto", "manifest.proto"], [".", "../../proto/wire"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .bytes(".tributary.lane.v1.PublishedMap")
        .bytes(".tributary.lane.v1.TokenEntry")
        .extern_path(".tributary.v1.Position", "::proto_wire::edge_hub::Position")
        .compile_fds(files)?;
    println!("cargo:rerun-if-changed=lane.proto");
    println!("cargo:rerun-if-changed=manifest.proto");
    println!("cargo:rerun-if-changed=../../proto/wire/edge_hub.proto");
    Ok(())
}

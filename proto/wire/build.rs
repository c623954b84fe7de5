//! Turns the two protocol files into Rust, without a protoc on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["edge_hub.proto", "push.proto"], ["."])?;
    tonic_prost_build::configure().bytes(".tributary.v1").bytes(".logproto").compile_fds(files)?;
    println!("cargo:rerun-if-changed=edge_hub.proto");
    println!("cargo:rerun-if-changed=push.proto");
    Ok(())
}

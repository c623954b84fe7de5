use super::{Hash, Scram};

#[test]
fn the_conversation_of_rfc_7677_is_spoken() {
    let (mut scram, first) = Scram::begin(Hash::Sha256, "user", "rOprNGfwEbeRWgbNEkqO");
    assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let last = scram.answer(server, "pencil").unwrap();
    assert_eq!(last, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert!(scram.is_proven("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    assert!(!scram.is_proven("v=AAAA") && !scram.is_proven("e=other-error"));
}

#[test]
fn a_server_that_makes_up_a_nonce_or_asks_for_no_work_is_not_answered() {
    for server in
        ["r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "r=abcX,s=AA==,i=1", "r=abcX,s=AA==,i=4000000000", "", "e=no"]
    {
        let (mut scram, _) = Scram::begin(Hash::Sha512, "u", "abc");
        assert_eq!(scram.answer(server, "p"), None, "{server}");
    }
    let (_, first) = Scram::begin(Hash::Sha512, "a,b=c", "n");
    assert_eq!(first, "n,,n=a=2Cb=3Dc,r=n");
}

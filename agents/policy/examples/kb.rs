//! temp
use cambist_policy::kernels::*;
use std::time::Instant;
fn main() {
    for isa in [Instructions::Avx512, Instructions::Avx2] {
        let pk = { let t=Instant::now(); let (f,s)=peak_loop(isa, 20_000_000); std::hint::black_box(s); f/t.elapsed().as_secs_f64()/1e9 };
        println!("{isa:?} peak {pk:.1}");
        let b=vec![0.01f32;256*384]; let bias=vec![0.1;384];
        let x=vec![0.3f32;256*256]; let mut c=vec![0.2f32;256*384]; let y=vec![0.2f32;256*384];
        let mut go=|name:&str,m:usize,n:usize,k:usize,trans:bool,after:u8|{
            let reps=20000;
            let t=Instant::now();
            for _ in 0..reps { let a = if trans {Strided{data:&x,row_stride:1,column_stride:m}} else {Strided{data:&x,row_stride:k,column_stride:1}};
                let af = match after {0=>After::Nothing,1=>After::Tanh,2=>After::TanhBack(&y),_=>After::Relu};
                if trans { c[..m*n].fill(0.0); }
                matmul(isa,m,n,k,a,&b,if trans {Start::Result} else {Start::Row(&bias)},&mut c,af);}
            let g=2.0*(m*n*k) as f64*reps as f64/t.elapsed().as_secs_f64()/1e9;
            println!("{name:12} {m}x{n}x{k} {g:.1} GFLOP/s {:.0}%",100.0*g/pk);
        };
        go("plain",128,64,64,false,0); go("tanh",128,64,64,false,1); go("relu",128,64,64,false,3); go("back",128,64,64,false,2); go("dW",64,64,128,true,0);
        go("head",128,3,64,false,0); go("value",128,1,64,false,0); go("dWhead",3,64,128,true,0); go("dXhead",128,64,3,false,2); go("gru",32,384,128,false,0); go("dU",128,384,32,true,0); go("32",128,32,32,false,0);
    }
}

"""The functions of `cambist check search` under Optuna's own TPE.

    python experiments/search/optuna_tpe.py SEEDS TRIALS       (needs optuna)
"""

import optuna, numpy as np, json, math, sys, warnings
warnings.filterwarnings("ignore"); optuna.logging.set_verbosity(optuna.logging.ERROR)
def sphere(t): x=[t.suggest_float(f"x{i}",-5,5) for i in range(5)]; return sum(v*v for v in x)
def rosen(t):
    x=[t.suggest_float(f"x{i}",-2,2) for i in range(3)]; return sum(100*(x[i+1]-x[i]**2)**2+(1-x[i])**2 for i in range(2))
def ackley(t):
    x=np.array([t.suggest_float(f"x{i}",-32.768,32.768) for i in range(5)])
    return float(20+math.e-20*np.exp(-0.2*np.sqrt((x*x).mean()))-np.exp(np.cos(2*np.pi*x).mean()))
def branin(t):
    x=t.suggest_float("x0",-5,10); y=t.suggest_float("x1",0,15); pi=math.pi
    return (y-5.1/(4*pi*pi)*x*x+5/pi*x-6)**2+10*(1-1/(8*pi))*math.cos(x)+10-0.397887357729738
def mixed(t):
    k=t.suggest_categorical("kind",["a","b","c","d"]); r=t.suggest_float("rate",1e-5,1,log=True); l=t.suggest_int("layers",1,8); f=t.suggest_categorical("flag",[False,True])
    base={"a":1.0,"b":0.7,"c":0.3*(1-f),"d":0.5}[k]
    return base+0.3*(math.log10(r)+3)**2+0.1*(l-5)**2
n_seeds,n=int(sys.argv[1]),int(sys.argv[2])
for mv in (True,False):
  print("Optuna",optuna.__version__,"TPESampler multivariate",mv)
  for f in (sphere,rosen,ackley,branin,mixed):
    b=[]
    for s in range(n_seeds):
        st=optuna.create_study(sampler=optuna.samplers.TPESampler(seed=s,multivariate=mv)); st.optimize(f,n_trials=n); b.append(st.best_value)
    print(f"{f.__name__:<12} median {np.median(b):<12.5f} quartiles {np.quantile(b,.25):.5f} to {np.quantile(b,.75):.5f}",flush=True)

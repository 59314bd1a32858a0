#!/usr/bin/env bash
# Workers of a sweep as an array of Slurm jobs, one worker each:
#
#     export CAMBIST_STORAGE=postgresql://USER@HOST/NAME CAMBIST_STUDY=my_sweep
#     sbatch --array=0-15 slurm.sh
#
# Optional: CAMBIST (path of the binary), CAMBIST_DATA_DIR and CAMBIST_RUNS_DIR (folders on the nodes), and PGPASSWORD.
# A minute before the time limit the worker gets SIGTERM, gives its trial back and exits with 75. To go on, submit
# again; where slurm.conf has RequeueExit=75, Slurm does that by itself. Lost nodes and preemptions it requeues anyway.
#
#SBATCH --job-name=cambist-sweep
#SBATCH --array=0-7
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --mem=2G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=cambist-sweep-%A_%a.log
# For a GPU a worker, with one # less:
##SBATCH --gres=gpu:1
set -euo pipefail
: "${CAMBIST_STORAGE:?set it to the URL of the storage}" "${CAMBIST_STUDY:?set it to the name of the study}"

# The worker takes the place of this script, and so gets its signals, each once: a second SIGTERM would end it at once.
exec "${CAMBIST:-cambist}" sweep worker - "$CAMBIST_STUDY" --threads "${SLURM_CPUS_PER_TASK:-1}"

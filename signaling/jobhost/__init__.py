"""Jobs on a queue, run by a process of its own.

    server                      jobs.db (Huey)                host                    job
    QueuedJobs --- enqueue ---> queue of its kind --- take --> worker --- spawn -----> finalize, render
         ^                                                       |
         +------- look ------- progress, verdict <--- put -------+

The catalog is the truth about what has to be done; the queue only says what of it is under way, so
its file is made anew at each start of the server and queues have the start's own name: what an
earlier server left in it is never run. `supervisor` keeps the host running and notices its end,
`runner` is the server's side, `__main__` the host's.
"""
